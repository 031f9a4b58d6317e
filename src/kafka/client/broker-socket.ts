import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions as TlsOptions } from "node:tls";
import { FrameReader } from "./frame-reader.ts";

const KEEP_ALIVE_MS = 60_000;

export interface BrokerSocketOptions {
  readonly host: string;
  readonly port: number;
  /** undefined: not encrypted. */
  readonly tls: TlsOptions | undefined;
  readonly maxResponseBytes: number;
  /** An answer, without its length. It is overwritten after the call. */
  readonly onFrame: (frame: Buffer) => void;
  /** It has come to its end, for this reason if there is one. Told once, also when it could not be connected. */
  readonly onEnd: (error: Error | undefined) => void;
}

/** The bytes to and from a broker: requests in pieces, answers as wholes. */
export class BrokerSocket {
  readonly #socket: Socket;
  readonly #frames: FrameReader;
  readonly #onEnd: (error: Error | undefined) => void;
  readonly #connected = Promise.withResolvers<void>();
  #hasEnded = false;

  constructor({ host, port, tls, maxResponseBytes, onFrame, onEnd }: BrokerSocketOptions) {
    this.#frames = new FrameReader(maxResponseBytes, onFrame);
    this.#onEnd = onEnd;
    this.#connected.promise.catch(() => {});
    const shared = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
    if (tls === undefined) {
      this.#socket = connectTcp({
        ...shared,
        // The kernel puts the bytes of an answer where they stay.
        onread: {
          buffer: () => this.#frames.target(),
          callback: (bytes) => this.#read(() => this.#frames.filled(bytes)),
        },
      });
      this.#socket.once("connect", () => this.#connected.resolve());
    } else {
      this.#socket = connectTls({ ...shared, ...(isIP(host) === 0 ? { servername: host } : {}), ...tls });
      this.#socket.once("secureConnect", () => this.#connected.resolve());
      this.#socket.on("data", (chunk) => this.#read(() => this.#frames.take(chunk)));
    }
    this.#socket.on("error", (error) => this.#end(error));
    this.#socket.on("close", () => this.#end(undefined));
  }

  /** Resolves when bytes can be sent, which includes TLS; rejects when that is not to be. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  /** Sends a request; `sent` is called once it is on its way. */
  send(pieces: readonly Uint8Array[], sent?: () => void): void {
    const last = pieces.length - 1;
    this.#socket.cork();
    for (const [index, piece] of pieces.entries()) {
      if (index === last && sent !== undefined) this.#socket.write(piece, (error) => error || sent());
      else this.#socket.write(piece);
    }
    this.#socket.uncork();
  }

  /** Ends it without a word. */
  destroy(): void {
    this.#hasEnded = true;
    this.#connected.reject(new Error("it was closed"));
    this.#socket.destroy();
  }

  /** Returns whether to go on reading. */
  #read(take: () => void): boolean {
    if (this.#hasEnded) return false;
    try {
      take();
    } catch (error) {
      this.#end(error as Error);
    }
    return !this.#hasEnded;
  }

  #end(error: Error | undefined): void {
    if (this.#hasEnded) return;
    this.#connected.reject(error ?? new Error("it was closed by the other side"));
    this.destroy();
    this.#onEnd(error);
  }
}
