import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { SaslRefusal } from "./sasl-refusal.ts";

const NONCE_BYTES = 18;
/** Kafka's own least. */
const LEAST_ITERATIONS = 4_096;
/** More would keep a core busy for a second and more, for whoever answers in the broker's place. */
const MOST_ITERATIONS = 2_000_000;

const derive = promisify(pbkdf2);

export interface ScramCredentials {
  readonly mechanism: "SCRAM-SHA-256" | "SCRAM-SHA-512";
  readonly username: string;
  readonly password: string;
}

/**
 * The client's side of SCRAM (RFC 5802): neither side tells the other the password, and each proves that it knows it.
 * `exchange` sends a message and resolves to the answer.
 *
 * @throws SaslRefusal when the broker does not take the credentials, does not know them itself, or does not keep to the RFC.
 */
export async function authenticateByScram<Answer extends { readonly authBytes: Buffer }>(
  credentials: ScramCredentials,
  exchange: (message: Buffer) => Promise<Answer>,
): Promise<Answer> {
  const hash = credentials.mechanism === "SCRAM-SHA-256" ? "sha256" : "sha512";
  const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
  const nonce = randomBytes(NONCE_BYTES).toString("base64");
  const first = `n=${escaped(credentials.username)},r=${nonce}`;
  const { authBytes } = await exchange(Buffer.from(`n,,${first}`));
  const serverFirst = authBytes.toString("utf8");
  const { salt, iterations, fullNonce } = readServerFirst(serverFirst, nonce);

  const saltedPassword = await derive(
    credentials.password,
    salt,
    iterations,
    createHash(hash).digest().length,
    hash,
  );
  const withoutProof = `c=${Buffer.from("n,,").toString("base64")},r=${fullNonce}`;
  const messages = `${first},${serverFirst},${withoutProof}`;
  const clientKey = hmac(saltedPassword, "Client Key");
  const signature = hmac(createHash(hash).update(clientKey).digest(), messages);
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] as number)));
  const answer = await exchange(Buffer.from(`${withoutProof},p=${proof.toString("base64")}`));

  const serverFinal = fieldsOf(answer.authBytes.toString("utf8"));
  const failure = serverFinal.get("e");
  if (failure !== undefined) throw new SaslRefusal(failure);
  const expected = hmac(hmac(saltedPassword, "Server Key"), messages);
  const given = Buffer.from(serverFinal.get("v") ?? "", "base64");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new SaslRefusal("it did not prove that it knows the password itself");
  }
  return answer;
}

function readServerFirst(
  message: string,
  nonce: string,
): { readonly salt: Buffer; readonly iterations: number; readonly fullNonce: string } {
  const fields = fieldsOf(message);
  const failure = fields.get("e");
  if (failure !== undefined) throw new SaslRefusal(failure);
  const fullNonce = fields.get("r") ?? "";
  const salt = Buffer.from(fields.get("s") ?? "", "base64");
  const iterations = Number(fields.get("i"));
  if (!fullNonce.startsWith(nonce) || fullNonce.length === nonce.length || salt.length === 0) {
    throw new SaslRefusal("its first message is not one of SCRAM");
  }
  if (!(iterations >= LEAST_ITERATIONS && iterations <= MOST_ITERATIONS)) {
    throw new SaslRefusal(
      `it asks for ${fields.get("i")} iterations, not for ${LEAST_ITERATIONS} to ${MOST_ITERATIONS}`,
    );
  }
  return { salt, iterations, fullNonce };
}

function escaped(username: string): string {
  return username.replaceAll("=", "=3D").replaceAll(",", "=2C");
}

function fieldsOf(message: string): ReadonlyMap<string, string> {
  return new Map(message.split(",").map((field) => [field.slice(0, 1), field.slice(2)]));
}
