import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { ConfigurationError } from "../errors.ts";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs;

/** As a file, and as the text itself. */
const WAYS = [
  ["ssl.ca.location", "ssl.ca.pem"],
  ["ssl.certificate.location", "ssl.certificate.pem"],
  ["ssl.key.location", "ssl.key.pem"],
] as const;

function readPem(path: string): string {
  if (!statSync(path).isDirectory()) return readFileSync(path, "utf8");
  const paths = readdirSync(path)
    .toSorted()
    .map((name) => join(path, name));
  // Links too, as authorities' folders have them.
  const files = paths.filter((file) => statSync(file).isFile());
  return files.map((file) => readFileSync(file, "utf8")).join("\n");
}

/** Node passes over what is no certificate, and would then trust nobody, or send none. */
function checkCertificates(key: string, text: string): void {
  const found = text.match(CERTIFICATE) ?? [];
  if (found.length === 0) throw new ConfigurationError(`"${key}" holds no certificate in PEM form.`);
  for (const certificate of found) {
    try {
      new X509Certificate(certificate);
    } catch (error) {
      throw new ConfigurationError(
        `"${key}" holds a certificate that cannot be read: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }
}

function checkKey(names: ReadonlyMap<string, string>, values: Record<string, unknown>): void {
  const [cert, key] = [values["ssl.certificate.pem"], values["ssl.key.pem"]] as (string | undefined)[];
  if (cert === undefined || key === undefined) return;
  try {
    createSecureContext({ cert, key, passphrase: values["ssl.key.password"] as string | undefined });
  } catch (error) {
    throw new ConfigurationError(
      `The private key in "${names.get("ssl.key.pem")}" cannot be used with the certificate in ` +
        `"${names.get("ssl.certificate.pem")}" and "ssl.key.password": ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/**
 * Puts the text of each `ssl.*.location` into `ssl.*.pem`, so that nobody else has to read files, and sees that the
 * certificates and the key can be used.
 *
 * @throws ConfigurationError when a file cannot be read, or is not what it should be.
 */
export function readPemFiles(values: Record<string, unknown>): void {
  const names = new Map<string, string>();
  for (const [location, pem] of WAYS) {
    const path = values[location];
    names.set(pem, typeof path === "string" ? location : pem);
    if (typeof path !== "string") continue;
    let text: string;
    try {
      text = readPem(path);
    } catch (error) {
      throw new ConfigurationError(`"${location}" (${JSON.stringify(path)}) cannot be read.`, {
        cause: error,
      });
    }
    if (!text.includes("-----BEGIN ")) {
      throw new ConfigurationError(`"${location}" (${JSON.stringify(path)}) holds no PEM text.`);
    }
    values[pem] = text;
  }
  for (const pem of ["ssl.ca.pem", "ssl.certificate.pem"]) {
    const text = values[pem];
    if (typeof text === "string") checkCertificates(names.get(pem)!, text);
  }
  checkKey(names, values);
}
