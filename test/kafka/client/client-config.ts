import type { ClientConfig } from "../../../src/kafka/client/client-config.ts";
import { readPemFiles } from "../../../src/kafka/config-pem.ts";

/** What a test may say; certificates and keys also as files. */
export type ClientSettings = Partial<ClientConfig> & {
  readonly [What in "ssl.ca" | "ssl.certificate" | "ssl.key" as `${What}.location`]?: string;
};

/** The settings that every client has, with their defaults but for what a test says. */
export function clientConfig(
  servers: string | readonly number[],
  settings: ClientSettings = {},
): ClientConfig {
  const bootstrapServers =
    typeof servers === "string"
      ? servers.split(",").map((server) => ({
          host: server.slice(0, server.lastIndexOf(":")),
          port: Number(server.slice(server.lastIndexOf(":") + 1)),
        }))
      : servers.map((port) => ({ host: "127.0.0.1", port }));
  const config = {
    "bootstrap.servers": bootstrapServers,
    "client.id": "test",
    "security.protocol": "plaintext",
    "sasl.mechanism": undefined,
    "sasl.username": undefined,
    "sasl.password": undefined,
    "ssl.ca.pem": undefined,
    "ssl.certificate.pem": undefined,
    "ssl.key.pem": undefined,
    "ssl.key.password": undefined,
    "enable.ssl.certificate.verification": true,
    "ssl.endpoint.identification.algorithm": "https",
    "socket.timeout.ms": 60_000,
    "socket.connection.setup.timeout.ms": 30_000,
    "reconnect.backoff.ms": 5,
    "reconnect.backoff.max.ms": 20,
    "retry.backoff.ms": 5,
    "retry.backoff.max.ms": 20,
    "topic.metadata.refresh.interval.ms": -1,
    "receive.message.max.bytes": 100_000_000,
    ...settings,
  } as const;
  readPemFiles(config);
  return config;
}
