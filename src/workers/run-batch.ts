import { InvalidMessage, WorkerError } from "../errors.ts";
import { isFiltered, type Message, type Submitted } from "../message/message.ts";
import { isAbout, withoutItem } from "../strategies/invalid.ts";
import { Shared, type RunRequest, type RunResults, type TaskName } from "./protocol.ts";
import { ResultWriter } from "./result-writer.ts";
import { ValueReader } from "./value-reader.ts";

/** The function that a task names, in a worker. */
export type TaskFunction = (message: Message<unknown>) => unknown;

/**
 * Loads the function that a task names.
 *
 * @throws WorkerError when the module cannot be loaded, or exports no such function.
 */
export async function loadTask({ module, exportName }: TaskName): Promise<TaskFunction> {
  let exports: Record<string, unknown>;
  try {
    exports = (await import(module)) as Record<string, unknown>;
  } catch (cause) {
    throw new WorkerError(`The module of a worker task cannot be loaded: ${module}.`, { cause });
  }
  const task = exports[exportName];
  if (typeof task === "function") return task as TaskFunction;
  const functions = Object.keys(exports).filter((name) => typeof exports[name] === "function");
  throw new WorkerError(
    `${module} exports no function named ${JSON.stringify(exportName)}. Its functions are: ` +
      `${functions.join(", ") || "none"}.`,
  );
}

/**
 * Runs a task on the messages of a batch, one after another, in a worker. Stops at an error, when the block of results
 * is full, or when nobody waits for the batch any more.
 */
export async function runBatch(
  request: RunRequest,
  load: (task: TaskName) => Promise<TaskFunction>,
  shared: Int32Array,
): Promise<RunResults> {
  const results = new ResultWriter(request.output);
  try {
    const task = await load(request.task);
    const messages = new ValueReader(request.block, request.partitions);
    for (let i = 0; i < request.count && !results.ended; i++) {
      if (Atomics.load(shared, Shared.CANCELLED) === request.id) break;
      Atomics.store(shared, Shared.BEGUN, i + 1);
      const pending = runOne(task, messages.message(), results);
      // No await after a synchronous task: a promise for each message would cost more than writing its result.
      if (pending !== undefined) await pending;
    }
  } catch (error) {
    results.failed(error);
  }
  Atomics.store(shared, Shared.BEGUN, 0);
  return results.finish(request.id);
}

/** Runs a task on one message, and returns a promise only if the task does. */
function runOne(
  task: TaskFunction,
  message: Submitted<unknown> | undefined,
  results: ResultWriter,
): Promise<void> | undefined {
  if (message === undefined || isFiltered(message)) {
    results.filtered();
    return undefined;
  }
  try {
    const result = task(message);
    if (isThenable(result)) return settle(task, message, result, results);
    results.add(result);
    return undefined;
  } catch (error) {
    return runRest(task, message, error, results);
  }
}

async function settle(
  task: TaskFunction,
  message: Message<unknown>,
  result: PromiseLike<unknown>,
  results: ResultWriter,
): Promise<void> {
  try {
    results.add(await result);
  } catch (error) {
    await runRest(task, message, error, results);
  }
}

/**
 * What follows when a task throws. If the task says that one of the messages of a batch is invalid, that one is left out
 * and the task runs again on the rest, so that an invalid message loses no other.
 */
function runRest(
  task: TaskFunction,
  message: Message<unknown>,
  error: unknown,
  results: ResultWriter,
): Promise<void> | undefined {
  if (!InvalidMessage.is(error)) {
    results.failed(error);
    return undefined;
  }
  if (isAbout(error, message)) {
    results.invalid(error);
    return undefined;
  }
  const rest = withoutItem(message, error);
  if (rest === undefined) {
    results.failed(
      new WorkerError(
        "A task threw an InvalidMessage that is neither about the message that it was given, nor about one of a batch that " +
          `it was given: ${error.message}`,
        { cause: error },
      ),
    );
    return undefined;
  }
  results.leftOut(error);
  return runOne(task, rest, results);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}
