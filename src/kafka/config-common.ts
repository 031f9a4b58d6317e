/** The settings that consumers and producers share: a row's comment is its text in docs/configuration.md and in editors. */
export const COMMON_SETTINGS = {
  /**
   * The brokers to ask first, as `host:port` separated by commas; all others are learnt from them. The port
   * is 9092 where none is given.
   */
  "bootstrap.servers": {
    type: "servers",
    required: true,
    aliases: ["metadata.broker.list"],
  },
  /** The name of this client in the brokers' logs, metrics and quotas. */
  "client.id": {
    type: "string",
    default: "arroyo",
  },
  /** Where this client runs, as in the brokers' `broker.rack`; sent with each Fetch. Empty: not said. */
  "client.rack": {
    type: "string",
    default: "",
  },
  /** Whether connections are encrypted (`ssl`), authenticated (`sasl`), or both. */
  "security.protocol": {
    type: "enum",
    values: { plaintext: "plaintext", ssl: "ssl", sasl_plaintext: "sasl_plaintext", sasl_ssl: "sasl_ssl" },
    default: "plaintext",
  },
  /** How to authenticate. Must be given when `security.protocol` is `sasl_plaintext` or `sasl_ssl`. */
  "sasl.mechanism": {
    type: "enum",
    values: {
      PLAIN: "PLAIN",
      "SCRAM-SHA-256": "SCRAM-SHA-256",
      "SCRAM-SHA-512": "SCRAM-SHA-512",
      OAUTHBEARER: "OAUTHBEARER",
    },
    aliases: ["sasl.mechanisms"],
  },
  /** The user to authenticate as, with PLAIN and SCRAM. */
  "sasl.username": { type: "string" },
  /** The password of `sasl.username`. */
  "sasl.password": { type: "string", secret: true },
  /**
   * With OAUTHBEARER: a function that gives the token to authenticate with, as `{ tokenValue, lifetime }` or a promise
   * of it; `lifetime` is when it expires, in milliseconds since the epoch. It runs on the main thread, when the client
   * is made and again when four fifths of the token's time are over; when it fails, it is called again after a second,
   * and more, up to ten.
   */
  oauthbearer_token_refresh_cb: { type: "callback" },
  /** A text of your own that `oauthbearer_token_refresh_cb` is called with. */
  "sasl.oauthbearer.config": { type: "string", secret: true },
  /**
   * A PEM file of the certificate authorities that brokers' certificates are checked against, or a folder of
   * such files. Read once, when the client is made. Default: those that Node comes with.
   */
  "ssl.ca.location": { type: "string" },
  /** The same as `ssl.ca.location`, as the text itself. */
  "ssl.ca.pem": { type: "string" },
  /** A PEM file with this client's certificate, for brokers that ask for one. */
  "ssl.certificate.location": { type: "string" },
  /** The same as `ssl.certificate.location`, as the text itself. */
  "ssl.certificate.pem": { type: "string" },
  /** A PEM file with the private key of this client's certificate. */
  "ssl.key.location": { type: "string" },
  /** The same as `ssl.key.location`, as the text itself. */
  "ssl.key.pem": { type: "string", secret: true },
  /** The passphrase of the private key. */
  "ssl.key.password": { type: "string", secret: true },
  /** Whether brokers' certificates are checked. Without it anybody may pose as a broker. */
  "enable.ssl.certificate.verification": {
    type: "boolean",
    default: true,
  },
  /** Whether a broker's certificate must be for the host name that was connected to (`https`). */
  "ssl.endpoint.identification.algorithm": {
    type: "enum",
    values: { https: "https", none: "none" },
    default: "https",
  },
  /**
   * How long a request may take before its connection is given up; a Fetch may take `fetch.wait.max.ms`
   * more.
   */
  "socket.timeout.ms": {
    type: "integer",
    min: 10,
    max: 300_000,
    default: 60_000,
  },
  /** How long connecting may take, with TLS and authentication. */
  "socket.connection.setup.timeout.ms": {
    type: "integer",
    min: 1_000,
    max: 2_147_483_647,
    default: 30_000,
  },
  /** How long to wait before a lost connection is made anew; doubled at each failure, with jitter. */
  "reconnect.backoff.ms": {
    type: "integer",
    min: 0,
    max: 3_600_000,
    default: 100,
  },
  /** The longest such wait. */
  "reconnect.backoff.max.ms": {
    type: "integer",
    min: 0,
    max: 3_600_000,
    default: 10_000,
  },
  /**
   * How long to wait before a request that failed for a passing reason is sent again; doubled at each
   * failure, with jitter.
   */
  "retry.backoff.ms": {
    type: "integer",
    min: 1,
    max: 300_000,
    default: 100,
  },
  /** The longest such wait. */
  "retry.backoff.max.ms": {
    type: "integer",
    min: 1,
    max: 300_000,
    default: 1_000,
  },
  /**
   * How often topics, partitions and leaders are asked for even when nothing seems to have changed. -1:
   * never, only when needed.
   */
  "topic.metadata.refresh.interval.ms": {
    type: "integer",
    min: -1,
    max: 3_600_000,
    default: 300_000,
  },
  /**
   * How often statistics are collected, for `onStatistics` and for the metrics of brokers, partitions and the group. 0:
   * never.
   */
  "statistics.interval.ms": {
    type: "integer",
    min: 0,
    max: 86_400_000,
    default: 0,
  },
  /**
   * The largest answer that is accepted from a broker: a guard of the memory. Must exceed `fetch.max.bytes`
   * by 512; raised by itself when it is not given.
   */
  "receive.message.max.bytes": {
    type: "integer",
    min: 1_000,
    max: 2_147_483_647,
    default: 100_000_000,
  },
} as const;
