import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext, type ConnectionOptions as TlsOptions, type SecureContext } from "node:tls";
import { ConfigurationError } from "../../errors.ts";
import type { ClientConfig } from "./client-config.ts";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs;

/** How to authenticate to a broker. */
export interface SaslCredentials {
  readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
  readonly username: string;
  readonly password: string;
}

/** What `security.protocol` and the keys around it come to. */
export interface Security {
  /** undefined: connections are not encrypted. */
  readonly tls: TlsOptions | undefined;
  /** undefined: connections are not authenticated. */
  readonly sasl: SaslCredentials | undefined;
}

/**
 * Reads the certificates and keys that the configuration names, once.
 *
 * @throws ConfigurationError that names the key, when a file cannot be read, is not what it should be, or when a key that
 * is needed is missing.
 */
export function resolveSecurity(config: ClientConfig): Security {
  const protocol = config["security.protocol"];
  return {
    tls: protocol === "ssl" || protocol === "sasl_ssl" ? tlsOptions(config) : undefined,
    sasl: protocol === "sasl_plaintext" || protocol === "sasl_ssl" ? saslCredentials(config) : undefined,
  };
}

function saslCredentials(config: ClientConfig): SaslCredentials {
  const need = (key: "sasl.mechanism" | "sasl.username" | "sasl.password"): string => {
    const value = config[key];
    if (value !== undefined) return value;
    throw new ConfigurationError(
      `"${key}" must be given when "security.protocol" is "${config["security.protocol"]}".`,
    );
  };
  return {
    mechanism: need("sasl.mechanism") as SaslCredentials["mechanism"],
    username: need("sasl.username"),
    password: need("sasl.password"),
  };
}

function tlsOptions(config: ClientConfig): TlsOptions {
  const caLocation = config["ssl.ca.location"];
  const caPem = config["ssl.ca.pem"];
  const ca =
    caPem !== undefined
      ? certificates("ssl.ca.pem", [caPem])
      : caLocation !== undefined
        ? certificates("ssl.ca.location", readAll("ssl.ca.location", caLocation))
        : undefined;
  const certificateLocation = config["ssl.certificate.location"];
  const cert =
    config["ssl.certificate.pem"] ??
    (certificateLocation === undefined ? undefined : read("ssl.certificate.location", certificateLocation));
  const keyLocation = config["ssl.key.location"];
  const key =
    config["ssl.key.pem"] ?? (keyLocation === undefined ? undefined : read("ssl.key.location", keyLocation));
  const passphrase = config["ssl.key.password"];

  if ((cert === undefined) !== (key === undefined)) {
    const [given, missing] = cert === undefined ? ["key", "certificate"] : ["certificate", "key"];
    throw new ConfigurationError(
      `A client ${given} is given without its ${missing}: set "ssl.${missing}.location" or "ssl.${missing}.pem".`,
    );
  }
  let secureContext: SecureContext;
  try {
    secureContext = createSecureContext({ ca, cert, key, passphrase });
  } catch (error) {
    throw new ConfigurationError(
      `The client certificate and key ("ssl.certificate.location", "ssl.key.location", or their ".pem", and ` +
        `"ssl.key.password") cannot be used: ${(error as Error).message}`,
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

/** The certificates in PEM texts. Node passes over what is not one, and would then trust nobody. */
function certificates(key: string, texts: readonly string[]): string[] {
  const found = texts.flatMap((text) => text.match(CERTIFICATE) ?? []);
  if (found.length === 0) throw new ConfigurationError(`"${key}" holds no certificate in PEM form.`);
  for (const certificate of found) {
    try {
      new X509Certificate(certificate);
    } catch (error) {
      throw new ConfigurationError(
        `"${key}" holds a certificate that cannot be read: ${(error as Error).message}`,
        {
          cause: error,
        },
      );
    }
  }
  return found;
}

function read(key: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigurationError(`"${key}" cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** A file, or every file of a folder. */
function readAll(key: string, path: string): string[] {
  let files: string[];
  try {
    files = statSync(path).isDirectory()
      ? readdirSync(path)
          .toSorted()
          .map((name) => join(path, name))
          .filter((file) => statSync(file).isFile())
      : [path];
  } catch (error) {
    throw new ConfigurationError(`"${key}" cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return files.map((file) => read(key, file));
}
