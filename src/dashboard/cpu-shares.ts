/** How much of a core the main thread, and all other threads together, have used since the last call. */
export class CpuShares {
  #atMs = performance.now();
  #main = process.threadCpuUsage();
  #all = process.cpuUsage();

  take(): { readonly main: number; readonly others: number } {
    const elapsedUs = Math.max(1, (performance.now() - this.#atMs) * 1_000);
    const main = process.threadCpuUsage(this.#main);
    const all = process.cpuUsage(this.#all);
    this.#atMs = performance.now();
    this.#main = process.threadCpuUsage();
    this.#all = process.cpuUsage();
    const mainUs = main.user + main.system;
    const allUs = all.user + all.system;
    return { main: mainUs / elapsedUs, others: Math.max(0, allUs - mainUs) / elapsedUs };
  }
}
