import { ApiVersions, type ApiVersionsRequest, type ApiVersionsResponse } from "./apis.ts";
import type { Api, ApiVersion } from "./api.ts";
import { ErrorCodes, errorName } from "./error-codes.ts";
import { TransportError, UnsupportedBrokerError } from "./transport-error.ts";

export const SOFTWARE: ApiVersionsRequest = { softwareName: "arroyo-typescript", softwareVersion: "0.1.0" };

/** Which versions of which RPCs a broker has, and which of them are spoken on a connection. */
export class NegotiatedVersions {
  readonly #broker: string;
  readonly #offered = new Map<number, { readonly min: number; readonly max: number }>();
  readonly #chosen = new Map<Api<never, unknown>, unknown>();

  /** `broker` names it in errors. */
  constructor(broker: string) {
    this.#broker = broker;
  }

  async ask(
    send: (
      api: typeof ApiVersions,
      row: ApiVersion<[ApiVersionsRequest], ApiVersionsResponse>,
      request: [ApiVersionsRequest],
    ) => Promise<ApiVersionsResponse>,
  ): Promise<void> {
    const [row] = ApiVersions.versions;
    const response = await send(ApiVersions, row, [SOFTWARE]);
    if (response.errorCode === ErrorCodes.UNSUPPORTED_VERSION) {
      throw new UnsupportedBrokerError(
        `${this.#broker} is too old: it does not know ApiVersions v${row.version}, which came with ` +
          `Kafka 2.4. This client needs Kafka 3.1 or newer.`,
      );
    }
    if (response.errorCode !== ErrorCodes.NONE) {
      throw new TransportError(`${this.#broker} answered ApiVersions with ${errorName(response.errorCode)}.`);
    }
    for (const { apiKey, minVersion, maxVersion } of response.apiKeys) {
      this.#offered.set(apiKey, { min: minVersion, max: maxVersion });
    }
  }

  /**
   * The highest version that both sides have.
   *
   * @throws UnsupportedBrokerError that names the RPC and the versions of both sides, when there is none.
   */
  choose<Request extends unknown[], Response>(api: Api<Request, Response>): ApiVersion<Request, Response> {
    const known = this.#chosen.get(api) as ApiVersion<Request, Response> | undefined;
    if (known !== undefined) return known;
    const offered = this.#offered.get(api.key);
    const row = api.versions.find(
      ({ version }) => offered !== undefined && version >= offered.min && version <= offered.max,
    );
    if (row === undefined) {
      const wanted = api.versions.map(({ version }) => `v${version}`).join(", ");
      throw new UnsupportedBrokerError(
        `${this.#broker} has no version of ${api.name} that this client speaks: it offers ` +
          `${offered === undefined ? "none" : `v${offered.min} to v${offered.max}`}, wanted is one of ${wanted}. ` +
          `This client needs Kafka 3.1 or newer.`,
      );
    }
    this.#chosen.set(api, row);
    return row;
  }
}
