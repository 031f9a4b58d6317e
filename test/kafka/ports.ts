import { createServer, type Server } from "node:net";

/** Below what systems give out by themselves, to connections and to servers that take any port. */
const LOWEST = 10_000;
const BLOCKS = 340;
const BLOCK_PORTS = 64;

let nextPort = 0;
let endOfBlock = 0;

/**
 * Ports on 127.0.0.1 that nothing listens on, and that are this process's as long as it lives: a server may be started
 * there later, stopped, and started again. Nobody else takes them meanwhile: each process that asks here has a block of
 * ports to itself, of which it listens on the first.
 */
export async function ownPorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    if (nextPort === endOfBlock) await takeBlock();
    const port = nextPort++;
    // Some other program may have it.
    const probe = await listening(port);
    if (probe === undefined) continue;
    await new Promise((resolve) => probe.close(resolve));
    ports.push(port);
  }
  return ports;
}

export async function ownPort(): Promise<number> {
  const [port] = await ownPorts(1);
  return port!;
}

async function takeBlock(): Promise<void> {
  for (;;) {
    const first = LOWEST + BLOCK_PORTS * Math.floor(Math.random() * BLOCKS);
    const lock = await listening(first);
    if (lock === undefined) continue;
    lock.unref();
    [nextPort, endOfBlock] = [first + 1, first + BLOCK_PORTS];
    return;
  }
}

/** A server on a port; undefined when it is taken. */
async function listening(port: number): Promise<Server | undefined> {
  const listener = createServer();
  return await new Promise((resolve, reject) => {
    listener.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    listener.listen(port, "127.0.0.1", () => resolve(listener));
  });
}
