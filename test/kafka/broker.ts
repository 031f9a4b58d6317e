import { execFile, spawn, type ChildProcessByStdio } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import { DEFAULT_KAFKA_VERSION, kafkaJars } from "./kafka-jars.ts";
import { ownPorts } from "./ports.ts";

const run = promisify(execFile);

export interface KafkaOptions {
  /** Default 4.1. */
  readonly version?: string | undefined;
  /** How many brokers. Default 1. */
  readonly brokers?: number | undefined;
  /** Whether it is to be fast once it runs, for measurements, rather than up soon with little work. Default false. */
  readonly forSpeed?: boolean | undefined;
  /** Broker properties on top of those below. */
  readonly properties?: Readonly<Record<string, string>> | undefined;
}

/** What a broker listens on. All of them lead to the same broker. */
export const LISTENERS = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] as const;
export type Listener = (typeof LISTENERS)[number];

/** What makes Java's start take a third of its time: it compiles less, and needs fewer threads. */
const SOON_UP = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/** Environment variable of the shared Kafka: the servers of each listener, as JSON. Set by the global setup. */
export const SHARED_KAFKA = "ARROYO_TEST_KAFKA";
/** Environment variable that says why no Kafka can be had. Set by the global setup. */
export const NO_KAFKA = "ARROYO_TEST_NO_KAFKA";

/** Who may log in on the SASL listeners, with PLAIN and with SCRAM. */
export const SASL_USER = { username: "alice", password: "alice-secret" } as const;
/** How long a session lasts that was authenticated on the SASL_SSL listener with PLAIN, SCRAM-SHA-512 or OAUTHBEARER. */
export const SHORT_SESSION_MS = 2_000;

/** The certificates of the tests: an authority, a broker's (for localhost and 127.0.0.1), one that is for another host, and a client's. */
const tls = (name: string): string => join(import.meta.dirname, "tls", name);
export const TLS: Readonly<
  Record<"ca" | "server" | "elsewhere" | "client" | "clientKey" | "clientKeyPassword", string>
> = {
  ca: tls("ca.pem"),
  server: tls("server.pem"),
  elsewhere: tls("elsewhere.pem"),
  client: tls("client.pem"),
  clientKey: tls("client-key.pem"),
  clientKeyPassword: "client-secret",
};

/** A broker of a running Kafka. It can be stopped and started again, on the same ports and with the same data. */
export class KafkaBroker {
  readonly nodeId: number;
  readonly ports: Readonly<Record<Listener, number>>;
  readonly #logPath: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  #waiting: ((line: string) => void)[] = [];

  constructor(
    nodeId: number,
    ports: Readonly<Record<Listener, number>>,
    logPath: string,
    child: ChildProcessByStdio<Writable, Readable, null>,
  ) {
    this.nodeId = nodeId;
    this.ports = ports;
    this.#logPath = logPath;
    this.#child = child;
    createInterface({ input: child.stdout })
      .on("line", (line) => this.#said(line))
      .on("close", () => this.#said("exited with its watchdog"));
    child.stdin.on("error", () => this.#said("exited with its watchdog"));
    this.#keepProcessAlive(false);
  }

  /** Starts it (again), and waits until it serves. */
  async start(): Promise<void> {
    const line = await this.#ask("start", (said) => said === "ready" || said.startsWith("exited"));
    if (line !== "ready") {
      const log = await readFile(this.#logPath, "utf8").catch(() => "");
      throw new Error(
        `Kafka did not start: ${line}. The end of its log:\n${log.split("\n").slice(-40).join("\n")}`,
      );
    }
  }

  /** Stops it in an orderly way: partitions are handed over first. */
  async stop(): Promise<void> {
    await this.#ask("stop", (said) => said.startsWith("exited"));
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#ask("kill", (said) => said.startsWith("exited"));
  }

  /** Freezes it: its connections stay open, and nothing is answered. */
  async pause(): Promise<void> {
    await this.#ask("pause", (said) => said === "paused");
  }

  async resume(): Promise<void> {
    await this.#ask("resume", (said) => said === "resumed");
  }

  /** Kills it, removes its data, and ends its watchdog. */
  async discard(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    this.#keepProcessAlive(true);
    this.#child.stdin.end();
    await exited;
  }

  #ask(command: string, isAnswer: (said: string) => boolean): Promise<string> {
    return new Promise((resolve) => {
      const listen = (said: string): void => {
        if (!isAnswer(said)) return;
        this.#waiting = this.#waiting.filter((waiting) => waiting !== listen);
        this.#keepProcessAlive(this.#waiting.length > 0);
        resolve(said);
      };
      this.#waiting.push(listen);
      this.#keepProcessAlive(true);
      this.#child.stdin.write(`${command}\n`);
    });
  }

  /** A process that is done with its tests may end without stopping the broker: the watchdog sees to that. */
  #keepProcessAlive(keep: boolean): void {
    const method = keep ? "ref" : "unref";
    this.#child[method]();
    for (const pipe of [this.#child.stdin, this.#child.stdout]) (pipe as unknown as Socket)[method]();
  }

  #said(line: string): void {
    for (const waiting of this.#waiting) waiting(line);
  }
}

/** A real Kafka, of one broker or several, that lives as long as the process that started it at the most. */
export class Kafka {
  readonly version: string;
  readonly brokers: readonly KafkaBroker[];

  constructor(version: string, brokers: readonly KafkaBroker[]) {
    this.version = version;
    this.brokers = brokers;
  }

  get bootstrapServers(): string {
    return this.servers("PLAINTEXT");
  }

  servers(listener: Listener): string {
    return this.brokers.map((broker) => `127.0.0.1:${broker.ports[listener]}`).join(",");
  }

  /** Ends it at once, and removes its data. */
  async stop(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.discard()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts a Kafka (KRaft, every broker a controller too) and waits until it serves. Takes about five seconds. */
export async function startKafka(options: KafkaOptions = {}): Promise<Kafka> {
  const version = options.version ?? DEFAULT_KAFKA_VERSION;
  const jars = await kafkaJars(version);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await tryToStart(version, jars, options);
    } catch (error) {
      // Another process may have taken a port since it was found free.
      if (attempt === 3 || !(error as Error).message.includes("Address already in use")) throw error;
    }
  }
}

async function tryToStart(version: string, jars: string, options: KafkaOptions): Promise<Kafka> {
  const count = options.brokers ?? 1;
  const ports = await ownPorts(count * (LISTENERS.length + 1));
  const nodes = Array.from({ length: count }, (_, index) => {
    const [controller = 0, ...listeners] = ports.splice(0, LISTENERS.length + 1);
    const byListener = Object.fromEntries(LISTENERS.map((name, at) => [name, listeners[at]]));
    return { id: index + 1, controller, ports: byListener as Record<Listener, number> };
  });
  const voters = nodes.map(({ id, controller }) => `${id}@127.0.0.1:${controller}`).join(",");
  // One that begins with a dash would be taken for an option.
  const clusterId = `A${randomBytes(16).toString("base64url").slice(1)}`;

  const brokers = await Promise.all(
    nodes.map(async (node) => {
      const folder = await mkdtemp(join(tmpdir(), "arroyo-kafka-"));
      await mkdir(join(folder, "data"));
      const path = join(folder, "server.properties");
      const properties = { ...brokerProperties(node, voters, count, folder), ...options.properties };
      await writeFile(
        path,
        Object.entries(properties)
          .map(([key, value]) => `${key}=${value}\n`)
          .join(""),
      );
      const classPath = ["-cp", join(jars, "*")];
      const credentials = ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
        "--add-scram",
        `${mechanism}=[name=${SASL_USER.username},password=${SASL_USER.password}]`,
      ]);
      const format = ["kafka.tools.StorageTool", "format", "-t", clusterId, "-c", path, ...credentials];
      await run("java", ["-XX:TieredStopAtLevel=1", ...classPath, ...format]);
      const logPath = join(folder, "broker.log");
      const java = [
        "-Xmx512m",
        ...(options.forSpeed === true ? [] : SOON_UP),
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
        ...classPath,
        "kafka.Kafka",
        path,
      ];
      const watchdog = [join(import.meta.dirname, "broker-process.ts"), logPath, folder, ...java];
      // In a process group of its own: an interrupt from the terminal is not for it.
      const child = spawn(process.execPath, watchdog, { stdio: ["pipe", "pipe", "inherit"], detached: true });
      return new KafkaBroker(node.id, node.ports, logPath, child);
    }),
  );
  const kafka = new Kafka(version, brokers);
  try {
    await Promise.all(brokers.map((broker) => broker.start()));
  } catch (error) {
    await kafka.stop();
    throw error;
  }
  return kafka;
}

function brokerProperties(
  node: { readonly id: number; readonly controller: number; readonly ports: Record<Listener, number> },
  voters: string,
  count: number,
  folder: string,
): Record<string, string> {
  const replicas = String(Math.min(count, 3));
  const listeners = LISTENERS.map((name) => `${name}://127.0.0.1:${node.ports[name]}`).join(",");
  const properties: Record<string, string> = {
    "node.id": String(node.id),
    "process.roles": "broker,controller",
    "controller.quorum.voters": voters,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    listeners: `${listeners},CONTROLLER://127.0.0.1:${node.controller}`,
    "advertised.listeners": listeners,
    "listener.security.protocol.map": [...LISTENERS, "CONTROLLER"]
      .map((name) => `${name}:${name === "CONTROLLER" ? "PLAINTEXT" : name}`)
      .join(","),
    "log.dirs": join(folder, "data"),
    // A broker that was killed is let in again only when its old session is over.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
    // Half a minute after the start, and every five, it would delete what has timestamps of long ago.
    "log.retention.ms": "-1",
    "group.coordinator.rebalance.protocols": "classic,consumer",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    // Under the newer protocol (KIP-848) the brokers decide: a member that is silent is out after 6 s.
    "group.consumer.min.heartbeat.interval.ms": "300",
    "group.consumer.heartbeat.interval.ms": "300",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "offsets.topic.replication.factor": replicas,
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": replicas,
    "share.coordinator.state.topic.min.isr": "1",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": TLS.server,
    "ssl.truststore.type": "PEM",
    "ssl.truststore.location": TLS.ca,
    "listener.name.ssl.ssl.client.auth": "requested",
  };
  for (const mechanism of ["plain", "scram-sha-512", "oauthbearer"]) {
    properties[`listener.name.sasl_ssl.${mechanism}.connections.max.reauth.ms`] = String(SHORT_SESSION_MS);
  }
  for (const listener of ["sasl_plaintext", "sasl_ssl"]) {
    const prefix = `listener.name.${listener}`;
    const scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    properties[`${prefix}.sasl.enabled.mechanisms`] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER";
    properties[`${prefix}.plain.sasl.jaas.config`] =
      "org.apache.kafka.common.security.plain.PlainLoginModule required " +
      `user_${SASL_USER.username}="${SASL_USER.password}";`;
    properties[`${prefix}.scram-sha-256.sasl.jaas.config`] = scram;
    properties[`${prefix}.scram-sha-512.sasl.jaas.config`] = scram;
    // Kafka's own way for tests: tokens that nobody has signed.
    properties[`${prefix}.oauthbearer.sasl.jaas.config`] =
      "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required " +
      'unsecuredLoginStringClaim_sub="broker";';
  }
  return properties;
}
