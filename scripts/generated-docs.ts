import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";
import { benchmarkPictures, benchmarksPage } from "./benchmarks-page.ts";
import { configurationPage } from "./configuration-page.ts";
import { grafanaDashboard } from "./grafana-dashboard.ts";
import { metricsPage } from "./metrics-page.ts";
import { referencePage } from "./reference-page.ts";

/** Every page that is made from the code, and how. */
const PAGES: ReadonlyMap<string, () => string | Promise<string>> = new Map<
  string,
  () => string | Promise<string>
>([
  ["docs/configuration.md", configurationPage],
  ["docs/metrics.md", metricsPage],
  ["docs/reference.md", referencePage],
  ["deploy/grafana/arroyo.json", grafanaDashboard],
  ["docs/benchmarks.md", benchmarksPage],
  ...benchmarkPictures(),
]);

async function generate(page: string): Promise<{ path: string; text: string }> {
  const path = fileURLToPath(new URL(`../${page}`, import.meta.url));
  const made = await PAGES.get(page)!();
  const isPicture = page.endsWith(".svg");
  const text = isPicture ? made : await format(made, { ...(await resolveConfig(path)), filepath: path });
  return { path, text };
}

/** Writes all of them. */
export async function writeDocs(): Promise<void> {
  for (const page of PAGES.keys()) {
    const { path, text } = await generate(page);
    await writeFile(path, text);
  }
}

/** The pages that are not what the code would make now. */
export async function outdatedDocs(): Promise<string[]> {
  const outdated = [];
  for (const page of PAGES.keys()) {
    const { path, text } = await generate(page);
    if ((await readFile(path, "utf8").catch(() => "")) !== text) outdated.push(page);
  }
  return outdated;
}
