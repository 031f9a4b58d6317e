import { createSecureContext, type ConnectionOptions as TlsOptions, type SecureContext } from "node:tls";
import { ConfigurationError } from "../../errors.ts";
import type { ClientConfig } from "./client-config.ts";
import type { Tokens } from "./tokens.ts";

/** How to authenticate to a broker. */
export type SaslCredentials =
  | {
      readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
      readonly username: string;
      readonly password: string;
    }
  | { readonly mechanism: "OAUTHBEARER"; readonly tokens: Tokens };

/** What `security.protocol` and the keys around it come to. */
export interface Security {
  /** undefined: connections are not encrypted. */
  readonly tls: TlsOptions | undefined;
  /** undefined: connections are not authenticated. */
  readonly sasl: SaslCredentials | undefined;
}

/**
 * Loads the certificates and keys, once for all connections. The texts have been checked before they came here (see
 * `config-pem.ts`). `tokens` must be there for OAUTHBEARER.
 *
 * @throws ConfigurationError when they cannot be used, or something that is needed is missing.
 */
export function resolveSecurity(config: ClientConfig, tokens?: Tokens): Security {
  const protocol = config["security.protocol"];
  return {
    tls: protocol === "ssl" || protocol === "sasl_ssl" ? tlsOptions(config) : undefined,
    sasl:
      protocol === "sasl_plaintext" || protocol === "sasl_ssl" ? saslCredentials(config, tokens) : undefined,
  };
}

function saslCredentials(config: ClientConfig, tokens: Tokens | undefined): SaslCredentials {
  const need = <Value>(key: string, value: Value | undefined): Value => {
    if (value !== undefined) return value;
    throw new ConfigurationError(
      `"${key}" must be given when "security.protocol" is "${config["security.protocol"]}".`,
    );
  };
  const mechanism = need("sasl.mechanism", config["sasl.mechanism"]);
  if (mechanism === "OAUTHBEARER") return { mechanism, tokens: need("oauthbearer_token_refresh_cb", tokens) };
  return {
    mechanism,
    username: need("sasl.username", config["sasl.username"]),
    password: need("sasl.password", config["sasl.password"]),
  };
}

function tlsOptions(config: ClientConfig): TlsOptions {
  let secureContext: SecureContext;
  try {
    secureContext = createSecureContext({
      ca: config["ssl.ca.pem"],
      cert: config["ssl.certificate.pem"],
      key: config["ssl.key.pem"],
      passphrase: config["ssl.key.password"],
    });
  } catch (error) {
    throw new ConfigurationError(
      `The certificates and keys ("ssl.ca.*", "ssl.certificate.*", "ssl.key.*") cannot be used: ${(error as Error).message}`,
      { cause: error },
    );
  }
  return {
    secureContext,
    rejectUnauthorized: config["enable.ssl.certificate.verification"],
    ...(config["ssl.endpoint.identification.algorithm"] === "https"
      ? {}
      : { checkServerIdentity: () => undefined }),
  };
}
