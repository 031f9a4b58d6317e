import type { Message } from "../message/message.ts";

declare const types: unique symbol;

/**
 * A function that workers can run, named by its module and its export, since a function itself cannot cross to
 * another thread. It takes a `Message<T>`; what it returns, or its promise resolves to, is a `U`. Made with
 * {@link workerTask}.
 */
export interface WorkerTask<in T, out U> {
  readonly module: URL;
  readonly exportName: string;
  /** Only there for the types. */
  readonly [types]?: ((payload: T) => U) | undefined;
}

/** The names of the functions that a module exports and that take a message (or nothing). */
export type WorkerTaskName<Module> = {
  [Name in keyof Module]: Module[Name] extends (message: Message<never>) => unknown ? Name : never;
}[keyof Module] &
  string;

/** The task that a function makes. */
export type WorkerTaskOf<Task> = Task extends (message: Message<infer T>) => infer U
  ? WorkerTask<T, Awaited<U>>
  : never;

/**
 * Names a function of a module for workers to run. The module's type is given, so that a name that it does not export,
 * or that is no function of a message, does not compile:
 *
 * ```ts
 * const resize = workerTask<typeof import("./resize.ts")>()(new URL("./resize.ts", import.meta.url), "resize");
 * ```
 *
 * The module is loaded in each worker, once: TypeScript or JavaScript, whatever Node can import from there. The function
 * gets a `Message<T>` and may be sync or async. In a compiled package the URL must name the compiled file.
 */
export function workerTask<Module>(): <Name extends WorkerTaskName<Module>>(
  module: URL,
  exportName: Name,
) => WorkerTaskOf<Module[Name]> {
  return (module, exportName) =>
    ({ module, exportName }) as unknown as WorkerTaskOf<Module[typeof exportName]>;
}
