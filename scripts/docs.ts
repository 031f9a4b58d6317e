// npm run docs: writes the pages that are made from the code; with --check, says whether they are up to date.
import { outdatedDocs, writeDocs } from "./generated-docs.ts";

if (process.argv.includes("--check")) {
  const outdated = await outdatedDocs();
  if (outdated.length > 0) {
    console.error(`Out of date: ${outdated.join(", ")}. Run "npm run docs" and commit what it writes.`);
    process.exitCode = 1;
  }
} else {
  await writeDocs();
}
