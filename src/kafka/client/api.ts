import type { RequestWriter } from "./request-writer.ts";
import type { ResponseCursor } from "./response-cursor.ts";

/** One version of an RPC: how its request is written and its answer read. */
export interface ApiVersion<Request extends unknown[], Response> {
  readonly version: number;
  readonly write: (writer: RequestWriter, ...request: Request) => void;
  /**
   * Reads the body of an answer. Error codes in it belong to the result; only what cannot be read throws. Its bytes are
   * overwritten by the next answer: what is kept of them has to be copied, as the cursor does.
   */
  readonly read: (body: ResponseCursor) => Response;
  /** Whether the headers of the request and of the answer have tagged fields. Default: both. */
  readonly headerTags?: "both" | "request" | "none" | undefined;
  /**
   * Where the answer says for how long the broker wants no requests (KIP-219). Default: at its beginning. In others it is
   * `throttleTimeMs` of the response, if they have it.
   */
  readonly throttleTime?: "first" | "own field" | undefined;
  /** What a request resolves to that the broker does not answer (Produce with `acks` 0), once it is sent. */
  readonly unanswered?: ((...request: Request) => Response | undefined) | undefined;
}

/** An RPC that this client uses, over all of its versions that this client speaks. */
export interface Api<Request extends unknown[], Response> {
  readonly key: number;
  /** As in the protocol guide. */
  readonly name: string;
  /** Newest first: the first that the broker has too is taken. */
  readonly versions: readonly [ApiVersion<Request, Response>, ...ApiVersion<Request, Response>[]];
}

/** The versions of an RPC that are written and read alike but for what `version` says, newest first. */
export function rows<Request, Response>(
  versions: readonly [number, ...number[]],
  write: (writer: RequestWriter, request: Request, version: number) => void,
  read: (body: ResponseCursor, version: number) => Response,
  more: Pick<ApiVersion<[Request], Response>, "throttleTime" | "unanswered"> = {},
): Api<[Request], Response>["versions"] {
  const row = (version: number): ApiVersion<[Request], Response> => ({
    ...more,
    version,
    write: (writer, request) => write(writer, request, version),
    read: (body) => read(body, version),
  });
  const [newest, ...older] = versions;
  return [row(newest), ...older.map(row)];
}
