/**
 * What takes the place of a payload that was filtered out. The message goes on through the chain without it, so that
 * its offset is still committed, in its turn. (Arroyo's `FilteredPayload`.)
 */
export class FilteredPayload {
  private readonly filtered: true = true;

  private constructor() {
    Object.freeze(this);
  }

  /** @internal */
  static readonly instance: FilteredPayload = new FilteredPayload();

  toString(): string {
    return this.filtered ? "FILTERED_PAYLOAD" : "";
  }
}

/** The one filtered payload. */
export const FILTERED_PAYLOAD: FilteredPayload = FilteredPayload.instance;
