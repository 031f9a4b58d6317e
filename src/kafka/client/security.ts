import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext, type ConnectionOptions as TlsOptions } from "node:tls";
import { ConfigurationError } from "../../errors.ts";
import type { ClientConfig } from "./client-config.ts";

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
  const ca = caPem ?? (caLocation === undefined ? undefined : readAll("ssl.ca.location", caLocation));
  const certificateLocation = config["ssl.certificate.location"];
  const cert =
    config["ssl.certificate.pem"] ??
    (certificateLocation === undefined ? undefined : read("ssl.certificate.location", certificateLocation));
  const keyLocation = config["ssl.key.location"];
  const key =
    config["ssl.key.pem"] ?? (keyLocation === undefined ? undefined : read("ssl.key.location", keyLocation));
  const passphrase = config["ssl.key.password"];

  // One by one, so that the message can say which of them is wrong.
  if (ca !== undefined) check(caPem === undefined ? "ssl.ca.location" : "ssl.ca.pem", { ca });
  if ((cert === undefined) !== (key === undefined)) {
    const [given, missing] = cert === undefined ? ["key", "certificate"] : ["certificate", "key"];
    throw new ConfigurationError(
      `A client ${given} is given without its ${missing}: set "ssl.${missing}.location" or "ssl.${missing}.pem".`,
    );
  }
  if (cert !== undefined && key !== undefined) {
    check("ssl.key.location (or .pem), ssl.key.password, ssl.certificate.location (or .pem)", {
      cert,
      key,
      passphrase,
    });
  }
  const verify = config["enable.ssl.certificate.verification"];
  const identify = config["ssl.endpoint.identification.algorithm"] === "https";
  return {
    secureContext: createSecureContext({ ca, cert, key, passphrase }),
    rejectUnauthorized: verify,
    ...(identify ? {} : { checkServerIdentity: () => undefined }),
  };
}

function check(keys: string, options: Parameters<typeof createSecureContext>[0]): void {
  try {
    createSecureContext(options);
  } catch (error) {
    throw new ConfigurationError(`${keys}: this cannot be used for TLS: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function read(key: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigurationError(`"${key}" cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** A file, or every file of a folder. */
function readAll(key: string, path: string): string | string[] {
  let names: string[];
  try {
    if (!statSync(path).isDirectory()) return read(key, path);
    names = readdirSync(path).toSorted();
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    throw new ConfigurationError(`"${key}" cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return names
    .map((name) => join(path, name))
    .flatMap((file) => (statSync(file).isFile() ? read(key, file) : []));
}
