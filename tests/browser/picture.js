// `node picture.js REPORT.html OUT.png`: a picture of a report, in light colours and 1280 px wide, from its top to its first timelines.
import { pathToFileURL } from "node:url";
import { launch } from "./browser.js";

/** Where it ends: before the timeline of the third migration. The whole page would be six times as long. */
const END = "#timeline div[data-at='migrations.2']";

const [html, out] = process.argv.slice(2);
const browser = await launch();
try {
  const page = await browser.newPage();
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(pathToFileURL(html).href, { waitUntil: "load" });
  const height = await page.$eval(END, (part) => Math.floor(part.getBoundingClientRect().top + scrollY - 8));
  await page.screenshot({ path: out, clip: { x: 0, y: 0, width: 1280, height }, captureBeyondViewport: true });
} finally {
  await browser.close();
}
