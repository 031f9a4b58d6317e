import { startChild } from "./child.ts";
import { newTarget } from "./target.ts";

/** into-target.ts COMMAND...: runs a program of a peer that writes to BENCH_TARGET, which is made for it and deleted then. */
await using target = await newTarget();
const child = startChild(process.argv.slice(2), target.name, "inherit");
await child.gone;
process.exitCode = child.process.exitCode ?? 1;
