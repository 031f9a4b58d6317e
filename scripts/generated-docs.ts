import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";
import { configurationPage } from "./configuration-page.ts";
import { grafanaDashboard } from "./grafana-dashboard.ts";
import { metricsPage } from "./metrics-page.ts";

/** Every page that is made from the code, and how. */
const PAGES: ReadonlyMap<string, () => string> = new Map([
  ["docs/configuration.md", configurationPage],
  ["docs/metrics.md", metricsPage],
  ["deploy/grafana/arroyo.json", grafanaDashboard],
]);

async function generate(page: string): Promise<{ path: string; text: string }> {
  const path = fileURLToPath(new URL(`../${page}`, import.meta.url));
  const text = await format(PAGES.get(page)!(), { ...(await resolveConfig(path)), filepath: path });
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
