import { parentPort, workerData } from "node:worker_threads";
import type { FromWorker, RunRequest, TaskName, WorkerStart } from "./protocol.ts";
import { loadTask, runBatch, type TaskFunction } from "./run-batch.ts";
import { packThrown } from "./thrown.ts";

/** A worker's program: runs the initializer, then one batch after another as it is asked to. */

const port = parentPort!;
const { shared, initializer } = workerData as WorkerStart;
const loading = new Map<string, Promise<TaskFunction>>();

function send(message: FromWorker, transfer: readonly ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

function load(task: TaskName): Promise<TaskFunction> {
  const key = `${task.exportName} ${task.module}`;
  let loaded = loading.get(key);
  if (loaded === undefined) {
    loaded = loadTask(task);
    loading.set(key, loaded);
  }
  return loaded;
}

async function initialize(): Promise<void> {
  if (initializer === undefined) return;
  const setUp = (await loadTask(initializer)) as () => unknown;
  await setUp();
}

async function run(request: RunRequest): Promise<void> {
  const results = await runBatch(request, load, new Int32Array(shared));
  send(results, [results.block]);
}

try {
  await initialize();
  // A batch that was sent meanwhile has waited in the port.
  port.on("message", (request: RunRequest) => void run(request));
  send({ kind: "ready" });
} catch (error) {
  send({ kind: "failed", error: packThrown(error) });
  port.close();
}
