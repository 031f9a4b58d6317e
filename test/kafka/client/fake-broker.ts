import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, Server as TlsServer, type TlsOptions } from "node:tls";
import { Writer } from "@platformatic/kafka";

/** A request as it came in, and the ways to treat it. */
export interface FakeRequest {
  readonly apiKey: number;
  readonly version: number;
  readonly correlationId: number;
  readonly socket: Socket;
  /** All of it, from the API key on. */
  readonly frame: Buffer;
  /** Answers in order, with a body that is well-formed or not. */
  answer(body: Writer | Buffer): void;
  /** The bytes of that answer, to send a part of them. */
  answerBytes(body: Writer | Buffer): Buffer;
}

type Handler = (request: FakeRequest) => void;

const API_VERSIONS = 18;

/** A server that behaves like a broker as far as a test tells it to, for what a real one cannot be made to do. */
export class FakeBroker {
  readonly port: number;
  readonly sockets: Set<Socket> = new Set();
  readonly #server: Server;
  readonly #handlers = new Map<number, Handler>();
  #waiting: { readonly apiKey: number; readonly resolve: (request: FakeRequest) => void }[] = [];
  /** How many connections there have been. */
  connections: number = 0;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on(server instanceof TlsServer ? "secureConnection" : "connection", (socket: Socket) =>
      this.#serve(socket),
    );
    this.on(API_VERSIONS, (request) => request.answer(apiVersionsBody()));
  }

  static async start(port: number = 0, tls?: TlsOptions, host: string = "127.0.0.1"): Promise<FakeBroker> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
    return new FakeBroker(server);
  }

  /** How requests of an RPC are treated from now on. Those that nobody treats are left without an answer. */
  on(apiKey: number, handler: Handler): void {
    this.#handlers.set(apiKey, handler);
  }

  /** The next request of an RPC, once it has come. */
  next(apiKey: number): Promise<FakeRequest> {
    return new Promise((resolve) => this.#waiting.push({ apiKey, resolve }));
  }

  /** Resolves when a connection to it has ended. */
  disconnected(socket: Socket): Promise<void> {
    return new Promise((resolve) => (socket.closed ? resolve() : socket.once("close", () => resolve())));
  }

  cutAll(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cutAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #serve(socket: Socket): void {
    this.connections += 1;
    this.sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.sockets.delete(socket));
    let buffered = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      buffered = Buffer.concat([buffered, chunk]);
      while (buffered.length >= 4 && buffered.length >= 4 + buffered.readInt32BE(0)) {
        const length = buffered.readInt32BE(0);
        this.#handle(socket, buffered.subarray(4, 4 + length));
        buffered = buffered.subarray(4 + length);
      }
    });
  }

  #handle(socket: Socket, frame: Buffer): void {
    const apiKey = frame.readInt16BE(0);
    const correlationId = frame.readInt32BE(4);
    const answerBytes = (body: Writer | Buffer): Buffer => {
      const header = Buffer.alloc(apiKey === API_VERSIONS ? 4 : 5);
      header.writeInt32BE(correlationId, 0);
      return frameOf(Buffer.concat([header, Buffer.isBuffer(body) ? body : body.buffer]));
    };
    const request: FakeRequest = {
      apiKey,
      version: frame.readInt16BE(2),
      correlationId,
      socket,
      frame,
      answerBytes,
      answer: (body) => socket.write(answerBytes(body)),
    };
    this.#handlers.get(apiKey)?.(request);
    const waiting = this.#waiting.filter((each) => each.apiKey === apiKey);
    this.#waiting = this.#waiting.filter((each) => each.apiKey !== apiKey);
    for (const { resolve } of waiting) resolve(request);
  }
}

/** The bytes with their length in front. */
export function frameOf(payload: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(payload.length);
  return Buffer.concat([length, payload]);
}

/** Offers every RPC in versions 0 to 20, unless told otherwise. */
export function apiVersionsBody(
  ranges: ReadonlyMap<number, readonly [number, number]> = new Map(),
  errorCode = 0,
): Writer {
  const apiKeys = Array.from({ length: 75 }, (_, apiKey) => apiKey);
  return Writer.create()
    .appendInt16(errorCode)
    .appendArray(apiKeys, (writer, apiKey) => {
      const [min, max] = ranges.get(apiKey) ?? [0, 20];
      writer.appendInt16(apiKey).appendInt16(min).appendInt16(max);
    })
    .appendInt32(0)
    .appendTaggedFields();
}

export function heartbeatBody(errorCode = 0): Writer {
  return Writer.create().appendInt32(0).appendInt16(errorCode).appendTaggedFields();
}

export function coordinatorBody(key: string, nodeId: number, port: number, errorCode = 0): Writer {
  return Writer.create()
    .appendInt32(0)
    .appendArray([0], (writer) =>
      writer
        .appendString(key)
        .appendInt32(nodeId)
        .appendString("127.0.0.1")
        .appendInt32(port)
        .appendInt16(errorCode)
        .appendString(null),
    )
    .appendTaggedFields();
}

export interface FakeTopic {
  readonly name: string;
  readonly topicId?: string;
  readonly errorCode?: number;
  readonly isInternal?: boolean;
  /** Leader and leader epoch, by index. */
  readonly partitions?: readonly (readonly [leader: number, leaderEpoch: number])[];
}

export const TOPIC_ID = "11111111-1111-1111-1111-111111111111";

export function metadataBody(
  brokers: readonly { readonly nodeId: number; readonly port: number }[],
  topics: readonly FakeTopic[] = [],
): Writer {
  return Writer.create()
    .appendInt32(0)
    .appendArray([...brokers], (writer, { nodeId, port }) =>
      writer.appendInt32(nodeId).appendString("127.0.0.1").appendInt32(port).appendString(null),
    )
    .appendString("cluster")
    .appendInt32(-1)
    .appendArray([...topics], (writer, topic) =>
      writer
        .appendInt16(topic.errorCode ?? 0)
        .appendString(topic.name)
        .appendUUID(topic.topicId ?? TOPIC_ID)
        .appendBoolean(topic.isInternal ?? false)
        .appendArray([...(topic.partitions ?? [])], (partition, [leader, leaderEpoch], index) =>
          partition
            .appendInt16(leader < 0 ? 5 : 0)
            .appendInt32(index)
            .appendInt32(leader)
            .appendInt32(leaderEpoch)
            .appendArray([1], (each, id) => each.appendInt32(id), true, false)
            .appendArray([1], (each, id) => each.appendInt32(id), true, false)
            .appendArray([], () => {}, true, false),
        )
        .appendInt32(0),
    )
    .appendTaggedFields();
}
