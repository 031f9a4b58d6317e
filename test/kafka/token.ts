import type { OAuthBearerToken } from "../../src/kafka/oauthbearer.ts";

/** A token that nobody has signed, as brokers take them that have nothing else configured. */
export function unsignedToken(lifetimeMs: number, subject: string = "alice"): OAuthBearerToken {
  const nowMs = Date.now();
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: subject, iat: nowMs / 1_000, exp: (nowMs + lifetimeMs) / 1_000 };
  return { tokenValue: `${part({ alg: "none" })}.${part(claims)}.`, lifetime: nowMs + lifetimeMs };
}
