// Opens a report and runs the checks.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import * as checks from "./checks.js";
import { numbers, picture } from "./numbers.js";

// The package is not beside this file but where `.ci/browser` has installed it.
const require = createRequire(`${process.env.LOCKGATE_NODE_MODULES ?? import.meta.dirname}/`);

export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  // A sandbox needs rights that root in a container does not have; the pages are our own.
  return require("puppeteer-core").launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
}

/** A page that notes all that a report must not do. */
async function open(browser, file, { script }) {
  const page = await browser.newPage();
  const did = { console: [], network: [] };
  await page.setJavaScriptEnabled(script);
  await page.setViewport({ width: 1280, height: 900 });
  const url = pathToFileURL(file).href;
  page.on("console", (message) => did.console.push(message.text()));
  page.on("pageerror", (error) => did.console.push(String(error)));
  page.on("requestfailed", (request) => did.network.push(`failed: ${request.url()}`));
  page.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("data:")) did.network.push(request.url());
  });
  await page.goto(url, { waitUntil: "load", timeout: 60_000 });
  return { page, did };
}

const CHECKS = ["landmarks", "ids", "keyboard", "numbers", "picture", "narrow", "headings", "images", "contrast", "print"];
/** Without scripts the same is looked at again only where it can differ. */
const AGAIN = ["landmarks", "keyboard", "numbers"];

/** All that is wrong with a report: `{check: [sentence, …]}`, with empty lists left out. */
export async function inspect(browser, file, json, only = () => true) {
  const found = {};
  const note = (check, problems) => {
    if (problems.length) (found[check] ??= []).push(...problems);
  };
  const texts = [];
  for (const script of [true, false]) {
    const { page, did } = await open(browser, file, { script });
    texts.push(await checks.text(page));
    const all = { ...checks, numbers, picture };
    for (const check of CHECKS.filter((check) => only(check) && (script || AGAIN.includes(check)))) {
      note(check, await all[check](page, json));
    }
    note("console", did.console);
    note("network", did.network);
    await page.close();
  }
  if (texts[0] !== texts[1]) note("script", ["the page reads differently with JavaScript off"]);
  return found;
}
