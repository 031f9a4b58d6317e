import { protocolErrors, protocolErrorsCodesById, type Reader, type Writer } from "@platformatic/kafka";
import { ArroyoError, ErrorCode } from "../../errors.ts";
import { errorName } from "./error-codes.ts";
import { GuardedReader } from "./guarded-reader.ts";

/** One version of an RPC: how its request is written and its answer read. */
export interface ApiVersion<Request extends unknown[], Response> {
  readonly version: number;
  readonly createRequest: (...request: Request) => Writer;
  /**
   * Reads the body of an answer. Error codes in it belong to the result; only what cannot be read throws.
   * `reader.buffer` is a DynamicBuffer: take bytes from it with `slice()`, which gives a Buffer.
   */
  readonly parseResponse: (reader: Reader, version: number) => Response;
  /** Whether the answer's header has tagged fields. Default true; ApiVersions is the exception. */
  readonly responseHeaderTags?: boolean | undefined;
  /**
   * Where the answer says for how long the broker wants no requests (KIP-219). Default: at its beginning. In others it is
   * `throttleTimeMs` of the response.
   */
  readonly throttleTime?: "first" | "own field" | undefined;
  /** What a request resolves to that the broker does not answer (Produce with `acks` 0). */
  readonly unanswered?: Response | undefined;
}

/** An RPC that this client uses, over all of its versions that this client speaks. */
export interface Api<Request extends unknown[], Response> {
  readonly key: number;
  /** As in the protocol guide. */
  readonly name: string;
  /** Newest first: the first that the broker has too is taken. */
  readonly versions: readonly [ApiVersion<Request, Response>, ...ApiVersion<Request, Response>[]];
}

/** Where the library keeps one version of an RPC: its exported namespace of the same name. */
export interface LibraryRpc<LibraryRequest extends unknown[], LibraryResponse> {
  readonly api: { readonly key: number; readonly version: number };
  readonly createRequest: (...request: LibraryRequest) => Writer;
  readonly parseResponse: (
    correlationId: number,
    apiKey: number,
    apiVersion: number,
    reader: Reader,
  ) => LibraryResponse;
}

/**
 * A row that is made of the library's encoder and parser, with a request and an answer of our own shape, the same for
 * all versions.
 */
export function rowOf<Request, Response, LibraryRequest extends unknown[], LibraryResponse>(
  rpc: LibraryRpc<LibraryRequest, LibraryResponse>,
  toLibrary: (request: Request) => NoInfer<LibraryRequest>,
  fromLibrary: (response: NoInfer<LibraryResponse>) => Response,
): ApiVersion<[Request], Response> {
  return {
    version: rpc.api.version,
    createRequest: (request) => rpc.createRequest(...toLibrary(request)),
    parseResponse: (reader) => fromLibrary(parseTolerantly(rpc, reader)),
  };
}

/**
 * The library throws an answer that has an error code anywhere in it, even when most of it is good: this gives the
 * answer back.
 */
export function parseTolerantly<Response>(
  rpc: Pick<LibraryRpc<unknown[], Response>, "api" | "parseResponse">,
  reader: Reader,
): Response {
  try {
    return rpc.parseResponse(0, rpc.api.key, rpc.api.version, new GuardedReader(reader.buffer));
  } catch (error) {
    const { code, response } = error as { code?: unknown; response?: Response };
    if (code === "PLT_KFK_RESPONSE" && response !== undefined) return response;
    throw error;
  }
}

// The library fails with a TypeError, and the answer is gone, when a code is not in its table. Its table is older than
// the protocol, so the codes that it lacks are added, with room for those of later brokers.
for (let code = -1; code < 256; code += 1) {
  if (protocolErrorsCodesById[code] !== undefined) continue;
  const id = errorName(code);
  protocolErrorsCodesById[code] = id;
  protocolErrors[id] = { id, code, canRetry: false, message: id };
}

/**
 * An int64 of the protocol as a number.
 *
 * @throws ArroyoError (`ARROYO_CONSUMER`) above 2^53 - 1, where a number would be rounded silently.
 */
export function safeNumber(value: bigint, what: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new ArroyoError(
      ErrorCode.CONSUMER,
      `The ${what} ${value} is beyond ${Number.MAX_SAFE_INTEGER}, the largest that can be handled.`,
    );
  }
  return number;
}
