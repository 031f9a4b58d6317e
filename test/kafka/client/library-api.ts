import { Reader, type Writer } from "@platformatic/kafka";
import type { Api } from "../../../src/kafka/client/api.ts";

/** One version of an RPC in another client's encoding. */
export interface LibraryRpc<Request extends unknown[], Response> {
  readonly api: { readonly key: number; readonly version: number };
  readonly createRequest: (...request: Request) => Writer;
  readonly parseResponse: (
    correlationId: number,
    apiKey: number,
    apiVersion: number,
    reader: Reader,
  ) => Response;
}

/** An RPC that the tests need and the client does not have. */
export function libraryApi<Request extends unknown[], Response>(
  name: string,
  { api, createRequest, parseResponse }: LibraryRpc<Request, Response>,
): Api<[Request], Response> {
  return {
    key: api.key,
    name,
    versions: [
      {
        version: api.version,
        write: (writer, request) => void writer.raw(createRequest(...request).buffer),
        read: (body) => parseResponse(0, api.key, api.version, Reader.from(body.bytes(body.remaining))),
      },
    ],
  };
}
