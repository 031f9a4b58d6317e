import type { Api } from "./api.ts";
import { ErrorCodes, errorName } from "./error-codes.ts";
import { SaslAuthenticate, SaslHandshake, type SaslAuthenticateResponse } from "./sasl-apis.ts";
import { SaslRefusal } from "./sasl-refusal.ts";
import { authenticateByScram } from "./scram.ts";
import type { SaslCredentials } from "./security.ts";
import type { BearerToken } from "./tokens.ts";
import { TransportError } from "./transport-error.ts";

/** What a connection authenticates with: a password, or the token that it was given when it was begun. */
export type ConnectionCredentials =
  | Exclude<SaslCredentials, { readonly mechanism: "OAUTHBEARER" }>
  | { readonly mechanism: "OAUTHBEARER"; readonly token: BearerToken };

/** Sends a request of authenticating, and resolves to its answer. */
type Send = <Request extends unknown[], Response>(
  api: Api<Request, Response>,
  request: Request,
) => Promise<Response>;

/** The codes that mean that the broker does not take the credentials, or not in this way. */
const REFUSALS: ReadonlySet<number> = new Set([
  ErrorCodes.SASL_AUTHENTICATION_FAILED,
  ErrorCodes.UNSUPPORTED_SASL_MECHANISM,
  ErrorCodes.ILLEGAL_SASL_STATE,
]);

/**
 * Authenticates on a connection that has just been made. Resolves to how long the session lasts, in ms (0: for ever).
 *
 * @throws SaslRefusal, TransportError.
 */
export async function authenticate(credentials: ConnectionCredentials, send: Send): Promise<number> {
  const { mechanism } = credentials;
  const { errorCode, mechanisms } = await send(SaslHandshake, [mechanism]);
  if (errorCode === ErrorCodes.UNSUPPORTED_SASL_MECHANISM) {
    throw new SaslRefusal(`it does not have this mechanism, but ${mechanisms.join(", ") || "none"}`);
  }
  throwIfRefused(errorCode, null);
  const exchange = async (message: Buffer): Promise<SaslAuthenticateResponse> => {
    const answer = await send(SaslAuthenticate, [message]);
    throwIfRefused(answer.errorCode, answer.errorMessage);
    return answer;
  };
  const { sessionLifetimeMs } = await authenticateBy(credentials, exchange);
  return sessionLifetimeMs;
}

async function authenticateBy(
  credentials: ConnectionCredentials,
  exchange: (message: Buffer) => Promise<SaslAuthenticateResponse>,
): Promise<SaslAuthenticateResponse> {
  switch (credentials.mechanism) {
    case "PLAIN":
      // RFC 4616.
      return await exchange(Buffer.from(`\0${credentials.username}\0${credentials.password}`));
    case "OAUTHBEARER": {
      const answer = await exchange(firstMessage(credentials.token));
      // RFC 7628: a token that is refused is answered with the reason, as if all were well.
      if (answer.authBytes.length > 0) throw new SaslRefusal(answer.authBytes.toString("utf8"));
      return answer;
    }
    default:
      return await authenticateByScram({ ...credentials, mechanism: credentials.mechanism }, exchange);
  }
}

function throwIfRefused(errorCode: number, message: string | null): void {
  if (errorCode === ErrorCodes.NONE) return;
  const why = message ?? errorName(errorCode);
  if (REFUSALS.has(errorCode)) throw new SaslRefusal(why);
  throw new TransportError(`it answered ${errorName(errorCode)} when this client authenticated: ${why}`);
}

function firstMessage({ tokenValue, extensions }: BearerToken): Buffer {
  const extended = Object.entries(extensions).map(([name, value]) => `\x01${name}=${value}`);
  return Buffer.from(`n,,\x01auth=Bearer ${tokenValue}${extended.join("")}\x01\x01`);
}

/** What to look at when the broker does not take the credentials. */
export function keysOf(mechanism: SaslCredentials["mechanism"]): string {
  return mechanism === "OAUTHBEARER"
    ? 'the token of "oauthbearer_token_refresh_cb"'
    : '"sasl.username" and "sasl.password"';
}
