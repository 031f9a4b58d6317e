import { Connection, Reader } from "@platformatic/kafka";

/**
 * The library's reader, except that no length is negative. It reads lengths into numbers with a sign, and a negative one
 * takes it back to what it has read already: a few damaged bytes would keep it busy for minutes, or fill the memory.
 */
export class GuardedReader extends Reader {
  override readUnsignedVarInt(): number {
    const value = super.readUnsignedVarInt();
    if (value < 0) throw new RangeError(`a length of ${value} at byte ${this.position}`);
    return value;
  }

  override readNullableString(compact?: boolean, encoding?: BufferEncoding): string | null {
    const from = this.position;
    const value = super.readNullableString(compact, encoding);
    if (this.position <= from) throw new RangeError(`a text of negative length at byte ${from}`);
    return value;
  }
}

/** The library's connection, which reads every answer with a {@link GuardedReader}: also those of authenticating. */
export class GuardedConnection extends Connection {
  override send<Response>(...[key, version, create, parse, ...rest]: SendArguments<Response>): void {
    super.send<Response>(
      key,
      version,
      create,
      (correlationId, apiKey, apiVersion, reader) =>
        parse(correlationId, apiKey, apiVersion, new GuardedReader(reader.buffer)),
      ...rest,
    );
  }
}

type SendArguments<Response> = Parameters<typeof Connection.prototype.send<Response>>;
