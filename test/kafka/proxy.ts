import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Kafka's keys of the RPCs that tests get in the way of. */
export const ApiKeys = {
  PRODUCE: 0,
  FETCH: 1,
  METADATA: 3,
  OFFSET_COMMIT: 8,
  FIND_COORDINATOR: 10,
  JOIN_GROUP: 11,
  HEARTBEAT: 12,
  CONSUMER_GROUP_HEARTBEAT: 68,
} as const;

/** One request or answer on its way through. Its payload, without the length in front, may be changed in place. */
export interface Passing {
  readonly api: number;
  readonly direction: "request" | "answer";
  readonly payload: Buffer;
}

/** What becomes of it: it goes on, or the connection is cut right before it would, or in the middle of it. */
export type Verdict = "pass" | "cut" | "cut inside";

/** What is on its way to one end of a connection, and when it may arrive. */
interface Lane {
  readonly to: Socket;
  readonly waiting: { readonly frame: Buffer; readonly dueMs: number }[];
  timer: NodeJS.Timeout | undefined;
}

/**
 * Stands between a client and the brokers of a Kafka, on loopback, and lets a test get in the way: corrupt, cut, delay, stall,
 * look on.
 *
 * Brokers tell clients where they are, so their addresses are replaced with the proxy's in the answers that have them.
 * It reads frames and needs no broker of its own, but a connection without TLS.
 */
export class KafkaProxy implements AsyncDisposable {
  /** Called for everything that passes. */
  intercept: (passing: Passing) => Verdict = () => "pass";
  /** How long everything takes on its way, each way. */
  delayMs = 0;
  #isStalled = false;
  readonly #lanes = new Set<Lane>();
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  /** An address as it stands in an answer (the host's text and the port), and what stands there instead. */
  readonly #addresses: { readonly real: Buffer; readonly ours: Buffer }[] = [];

  private constructor() {}

  /** One port of its own for each of the servers. */
  static async start(bootstrapServers: string): Promise<KafkaProxy> {
    const proxy = new KafkaProxy();
    for (const server of bootstrapServers.split(",")) {
      const colon = server.lastIndexOf(":");
      await proxy.#listen(server.slice(0, colon), Number(server.slice(colon + 1)));
    }
    return proxy;
  }

  get bootstrapServers(): string {
    return this.#servers.map((server) => `127.0.0.1:${(server.address() as AddressInfo).port}`).join(",");
  }

  /** Cuts every connection there is. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Connections stay open, but nothing passes any more. */
  stall(): void {
    this.#isStalled = true;
  }

  /** Everything passes again, in its order. */
  resume(): void {
    this.#isStalled = false;
    for (const lane of this.#lanes) this.#move(lane);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cutAll();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  async #listen(host: string, port: number): Promise<void> {
    const server = createServer((client) => this.#serve(client, connect(port, host)));
    this.#servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const addressOf = (of: number): Buffer => {
      const address = Buffer.alloc(host.length + 4);
      address.write(host, "latin1");
      address.writeInt32BE(of, host.length);
      return address;
    };
    this.#addresses.push({ real: addressOf(port), ours: addressOf((server.address() as AddressInfo).port) });
  }

  #serve(client: Socket, broker: Socket): void {
    const apis = new Map<number, number>();
    const cut = (): void => {
      client.destroy();
      broker.destroy();
    };
    const toLane = (to: Socket): Lane => {
      const lane: Lane = { to, waiting: [], timer: undefined };
      this.#sockets.add(to);
      this.#lanes.add(lane);
      to.on("error", cut);
      to.on("close", () => {
        this.#sockets.delete(to);
        this.#lanes.delete(lane);
        clearTimeout(lane.timer);
        cut();
      });
      return lane;
    };
    const toClient = toLane(client);
    const toBroker = toLane(broker);
    const judged = (passing: Passing, frame: Buffer, lane: Lane): void => {
      const verdict = this.intercept(passing);
      if (verdict === "pass") return this.#send(lane, frame);
      if (verdict === "cut inside") lane.to.write(frame.subarray(0, frame.length / 2));
      cut();
    };
    forEachFrame(client, (frame) => {
      const payload = frame.subarray(4);
      const api = payload.readInt16BE(0);
      apis.set(payload.readInt32BE(4), api);
      judged({ api, direction: "request", payload }, frame, toBroker);
    });
    forEachFrame(broker, (frame) => {
      const payload = frame.subarray(4);
      const correlationId = payload.readInt32BE(0);
      const api = apis.get(correlationId) ?? -1;
      apis.delete(correlationId);
      if (api === ApiKeys.METADATA || api === ApiKeys.FIND_COORDINATOR) this.#replaceAddresses(payload);
      judged({ api, direction: "answer", payload }, frame, toClient);
    });
  }

  #send(lane: Lane, frame: Buffer): void {
    lane.waiting.push({ frame, dueMs: performance.now() + this.delayMs });
    this.#move(lane);
  }

  #move(lane: Lane): void {
    clearTimeout(lane.timer);
    lane.timer = undefined;
    for (let [first] = lane.waiting; first !== undefined && !this.#isStalled; [first] = lane.waiting) {
      const leftMs = first.dueMs - performance.now();
      if (leftMs > 0) {
        lane.timer = setTimeout(() => this.#move(lane), leftMs);
        return;
      }
      lane.to.write(first.frame);
      lane.waiting.shift();
    }
  }

  #replaceAddresses(payload: Buffer): void {
    for (const { real, ours } of this.#addresses) {
      for (let at = payload.indexOf(real); at >= 0; at = payload.indexOf(real, at + ours.length)) {
        ours.copy(payload, at);
      }
    }
  }
}

/** Calls back with each whole frame, its length in front. */
function forEachFrame(socket: Socket, take: (frame: Buffer) => void): void {
  let pending = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 4) {
      const end = 4 + pending.readInt32BE(0);
      if (pending.length < end || socket.destroyed) return;
      take(pending.subarray(0, end));
      pending = pending.subarray(end);
    }
  });
}
