import {
  AuthenticationError,
  saslPlain,
  saslScramSha,
  type SASLCustomAuthenticator,
  type SASLOptions,
} from "@platformatic/kafka";
import type { SaslCredentials } from "./security.ts";
import type { BearerToken } from "./tokens.ts";

/** The protocol error codes that mean that the broker does not take the credentials, or not in this way. */
const REFUSALS: ReadonlySet<unknown> = new Set([
  "SASL_AUTHENTICATION_FAILED",
  "UNSUPPORTED_SASL_MECHANISM",
  "ILLEGAL_SASL_STATE",
]);

/** What a connection authenticates with: a password, or the token that it was given when it was begun. */
export type ConnectionCredentials =
  | Exclude<SaslCredentials, { readonly mechanism: "OAUTHBEARER" }>
  | { readonly mechanism: "OAUTHBEARER"; readonly token: () => BearerToken };

/**
 * The library's authentication, except that it is not told how long the session lasts: it would authenticate again on the
 * same connection, which breaks when requests are under way. `onSession` is told instead (0: for ever).
 */
export function saslOptions(
  credentials: ConnectionCredentials,
  onSession: (lifetimeMs: number) => void,
): SASLOptions {
  const { mechanism } = credentials;
  const authenticate: SASLCustomAuthenticator = (
    _mechanism,
    connection,
    api,
    _user,
    _password,
    _token,
    callback,
  ) => {
    const done: typeof callback = (error, response) => {
      if (error !== null || response === undefined) return callback(error, response);
      onSession(Number(response.sessionLifetimeMs));
      callback(null, { ...response, sessionLifetimeMs: 0n });
    };
    if (credentials.mechanism === "OAUTHBEARER") {
      api(connection, firstMessage(credentials.token()), (error, response) => {
        // RFC 7628: a token that is refused is answered with the reason, as if all were well.
        const reason = response?.authBytes;
        if (error !== null || reason === undefined || reason.length === 0) return done(error, response);
        callback(new AuthenticationError(reason.toString("utf8")), response);
      });
      return;
    }
    const { username, password } = credentials;
    if (credentials.mechanism === "PLAIN") {
      saslPlain.authenticate(api, connection, username, password, done);
    } else {
      const algorithm = credentials.mechanism === "SCRAM-SHA-256" ? "SHA-256" : "SHA-512";
      saslScramSha.authenticate(
        api,
        connection,
        algorithm,
        username,
        password,
        saslScramSha.defaultCrypto,
        done,
      );
    }
  };
  return { mechanism, authenticate };
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

/** Why a broker refused the credentials, if that is what a failure to connect comes from. */
export function refusal(error: unknown): string | undefined {
  let deepest: unknown;
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    deepest = at;
    for (const each of (at as { errors?: unknown[] }).errors ?? []) {
      const { apiId, message, serverErrorMessage } = each as Record<string, unknown>;
      if (REFUSALS.has(apiId)) return String(serverErrorMessage ?? message);
    }
  }
  // The library calls everything that goes wrong while authenticating an AuthenticationError, a lost connection too.
  const { code, message } = (deepest ?? {}) as { code?: unknown; message?: string };
  return code === "PLT_KFK_AUTHENTICATION" ? message : undefined;
}
