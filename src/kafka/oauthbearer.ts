/** A token to authenticate with (`sasl.mechanism` OAUTHBEARER). */
export interface OAuthBearerToken {
  /** The token itself, as it goes to the broker: a JWT in its compact form, most often. */
  readonly tokenValue: string;
  /** When it expires, in milliseconds since the epoch. */
  readonly lifetime: number;
  /** Whom it is for. The broker takes that from the token itself; this is here since librdkafka's callback has it. */
  readonly principal?: string | undefined;
  /** SASL extensions (KIP-342), sent along. Names are letters. */
  readonly extensions?: Readonly<Record<string, string>> | undefined;
}

/**
 * Gets a token. It runs on the main thread, ahead of time: when the client is made, and again when four fifths of a
 * token's time are over. Called with the text in `sasl.oauthbearer.config`.
 */
export type OAuthBearerTokenRefresh = (
  config: string | undefined,
) => OAuthBearerToken | PromiseLike<OAuthBearerToken>;
