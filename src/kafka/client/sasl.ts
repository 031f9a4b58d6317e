import { saslPlain, saslScramSha, type SASLCustomAuthenticator, type SASLOptions } from "@platformatic/kafka";
import type { SaslCredentials } from "./security.ts";

/** The protocol error codes that mean that the broker does not take the credentials, or not in this way. */
const REFUSALS: ReadonlySet<unknown> = new Set([
  "SASL_AUTHENTICATION_FAILED",
  "UNSUPPORTED_SASL_MECHANISM",
  "ILLEGAL_SASL_STATE",
]);

/**
 * The library's authentication, except that it is not told how long the session lasts: it would authenticate again on the
 * same connection, which breaks when requests are under way. `onSession` is told instead (0: for ever).
 */
export function saslOptions(
  credentials: SaslCredentials,
  onSession: (lifetimeMs: number) => void,
): SASLOptions {
  const { mechanism, username, password } = credentials;
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
    if (mechanism === "PLAIN") {
      saslPlain.authenticate(api, connection, username, password, done);
    } else {
      const algorithm = mechanism === "SCRAM-SHA-256" ? "SHA-256" : "SHA-512";
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
  return { mechanism, username, password, authenticate };
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
