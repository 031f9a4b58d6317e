import chromium from "@sparticuz/chromium";
import { chromium as playwright, type Browser } from "playwright-core";

/** A Chromium: the one that comes with the dev dependencies, or that `CHROMIUM_PATH` names. */
export async function openBrowser(): Promise<Browser> {
  const own = process.env["CHROMIUM_PATH"];
  return await playwright.launch({
    executablePath: own ?? (await chromium.executablePath()),
    // As one process it would end with its first page.
    args: own === undefined ? chromium.args.filter((arg) => arg !== "--single-process") : ["--no-sandbox"],
    headless: true,
    timeout: 120_000,
  });
}
