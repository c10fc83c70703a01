// `node picture.js REPORT.html OUT.png`: a picture of a report, in light colours and 1280 px wide, from its top to the end of what is read first.
import { pathToFileURL } from "node:url";
import { launch } from "./browser.js";

/** The parts that the picture ends with: what comes after them are numbers. */
const LAST = "#reversibility";

const [html, out] = process.argv.slice(2);
const browser = await launch();
try {
  const page = await browser.newPage();
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(pathToFileURL(html).href, { waitUntil: "load" });
  const height = await page.$eval(LAST, (part) => Math.ceil(part.getBoundingClientRect().bottom + scrollY + 16));
  await page.screenshot({ path: out, clip: { x: 0, y: 0, width: 1280, height }, captureBeyondViewport: true });
} finally {
  await browser.close();
}
