import type { Api, ApiVersion } from "./api.ts";
import { RequestWriter } from "./request-writer.ts";

export interface RequestHeader {
  readonly correlationId: number;
  readonly clientId: string;
}

/** A whole request as it goes over the wire: its length, its header, its body. */
export function requestFrame<Request extends unknown[], Response>(
  api: Api<Request, Response>,
  row: ApiVersion<Request, Response>,
  request: Request,
  { correlationId, clientId }: RequestHeader,
): readonly Uint8Array[] {
  const writer = new RequestWriter()
    .int32(0) // the length, which is not known yet
    .int16(api.key)
    .int16(row.version)
    .int32(correlationId)
    .shortString(clientId);
  if (row.headerTags !== "none") writer.end();
  row.write(writer, ...request);
  const pieces = writer.pieces();
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const [first] = pieces as [Uint8Array];
  new DataView(first.buffer, first.byteOffset).setInt32(0, length - 4);
  return pieces;
}
