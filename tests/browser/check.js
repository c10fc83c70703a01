// `node check.js FOLDER [REPORT.html REPORT.json]…`: inspects the reports of a folder, and then sees that broken ones are found out.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect, launch } from "./browser.js";
import { FAULTS } from "./faults.js";

const result = (file) => JSON.parse(readFileSync(file, "utf8")).result;

/** What is looked at where a report is so long that its JSON is not there: that it opens, and is whole. */
const OF_HUGE = ["landmarks", "ids"];

function pairs([folder, ...more]) {
  const found = readdirSync(folder)
    .filter((name) => name.endsWith(".html"))
    .map((name) => [join(folder, name), join(folder, name.replace(/html$/, "json"))]);
  for (let i = 0; i + 1 < more.length; i += 2) found.push([more[i], more[i + 1]]);
  return found;
}

async function reports(browser, files) {
  let bad = 0;
  for (const [html, json] of files) {
    const begin = Date.now();
    const found = existsSync(json)
      ? await inspect(browser, html, result(json))
      : await inspect(browser, html, undefined, (check) => OF_HUGE.includes(check));
    console.log(`${Object.keys(found).length ? "NOT OK" : "ok"}  ${html} (${Date.now() - begin} ms)`);
    for (const [check, problems] of Object.entries(found)) {
      bad += problems.length;
      problems.slice(0, 10).forEach((problem) => console.log(`    ${check}: ${problem}`));
      if (problems.length > 10) console.log(`    ${check}: and ${problems.length - 10} more`);
    }
  }
  return bad;
}

async function brokenOnes(browser, folder) {
  const [sound, json] = [readFileSync(join(folder, "rich.html"), "utf8"), result(join(folder, "rich.json"))];
  const scratch = mkdtempSync(join(tmpdir(), "lockgate-broken-"));
  let missed = 0;
  try {
    for (const [what, check, breakIt] of FAULTS) {
      const file = join(scratch, "broken.html");
      writeFileSync(file, breakIt(sound));
      const found = await inspect(browser, file, json, (name) => name === check);
      if (!found[check]) {
        missed += 1;
        console.log(`NOT FOUND  ${what}: the check “${check}” says nothing`);
      }
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
  console.log(`${FAULTS.length - missed} of ${FAULTS.length} broken pages were found out`);
  return missed;
}

const args = process.argv.slice(2);
const browser = await launch();
let bad;
try {
  bad = (await reports(browser, pairs(args))) + (await brokenOnes(browser, args[0]));
} finally {
  await browser.close();
}
process.exitCode = bad ? 1 : 0;
