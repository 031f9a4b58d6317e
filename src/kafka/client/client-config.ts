/**
 * The settings that every client has, resolved: what the transport reads. The tables in `config-common.ts` say what each
 * one means. Certificates and keys are texts, also when they were given as files.
 */
export interface ClientConfig {
  readonly "bootstrap.servers": readonly { readonly host: string; readonly port: number }[];
  readonly "client.id": string;
  readonly "security.protocol": "plaintext" | "ssl" | "sasl_plaintext" | "sasl_ssl";
  readonly "sasl.mechanism": "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" | "OAUTHBEARER" | undefined;
  readonly "sasl.username": string | undefined;
  readonly "sasl.password": string | undefined;
  readonly "ssl.ca.pem": string | undefined;
  readonly "ssl.certificate.pem": string | undefined;
  readonly "ssl.key.pem": string | undefined;
  readonly "ssl.key.password": string | undefined;
  readonly "enable.ssl.certificate.verification": boolean;
  readonly "ssl.endpoint.identification.algorithm": "https" | "none";
  readonly "socket.timeout.ms": number;
  readonly "socket.connection.setup.timeout.ms": number;
  readonly "reconnect.backoff.ms": number;
  readonly "reconnect.backoff.max.ms": number;
  readonly "retry.backoff.ms": number;
  readonly "retry.backoff.max.ms": number;
  /** -1: never by itself. */
  readonly "topic.metadata.refresh.interval.ms": number;
  readonly "receive.message.max.bytes": number;
  /** Whether asking for a topic may make it. Default false. */
  readonly "allow.auto.create.topics"?: boolean | undefined;
}
