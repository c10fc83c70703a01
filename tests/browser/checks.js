// What every report promises to whoever opens it. Each check returns the sentences that it has to complain of.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const openAll = (page) => page.$$eval("details", (all) => all.forEach((details) => (details.open = true)));

export async function scheme(page, value) {
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
}

/** Runs in the page: texts, and the edges of bars, against what is behind them. */
function lowContrast() {
  const parse = (color) => {
    const [r, g, b, a = 1] = (color.match(/[\d.]+/g) ?? []).map(Number);
    return { r, g, b, a };
  };
  const over = (top, under) => {
    const mix = (c) => top[c] * top.a + under[c] * (1 - top.a);
    return { r: mix("r"), g: mix("g"), b: mix("b"), a: 1 };
  };
  const luminance = ({ r, g, b }) => {
    const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const ratio = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const known = new Map();
  const behind = (element) => {
    if (!element) return { r: 255, g: 255, b: 255, a: 1 };
    if (!known.has(element)) {
      const own = parse(getComputedStyle(element).backgroundColor);
      known.set(element, own.a === 1 ? own : over(own, behind(element.parentElement)));
    }
    return known.get(element);
  };
  const low = [];
  const judge = (element, color, least, what) => {
    const found = ratio(over(parse(color), behind(element)), behind(element));
    if (found < least) low.push(`${what} has a contrast of ${found.toFixed(2)} (${color})`);
  };
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join(" ").trim();
    const style = getComputedStyle(element);
    if (own && !element.closest("title, desc, style, .unseen")) {
      judge(element, element.closest("svg") ? style.fill : style.color, 4.5, `“${own.slice(0, 40)}”`);
    }
    if (element.tagName === "rect" && !element.closest("pattern, defs")) {
      judge(element, style.fill.startsWith("rgb") ? style.fill : style.stroke, 3, `a bar “${element.getAttribute("class")}”`);
    }
    for (const sign of element.matches(".ddl ins, .ddl del") ? ["::before"] : []) {
      judge(element, getComputedStyle(element, sign).color, 4.5, "a sign of a difference");
    }
  }
  return [...new Set(low)];
}

export async function contrast(page) {
  await openAll(page);
  const problems = [];
  for (const value of ["light", "dark"]) {
    await scheme(page, value);
    problems.push(...(await page.evaluate(lowContrast)).map((what) => `${value}: ${what}`));
  }
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await scheme(page, "light");
  if (ground === (await page.evaluate(() => getComputedStyle(document.body).backgroundColor))) problems.push("dark is light");
  return problems;
}

/** The tree that a screen reader gets, in its order. */
async function tree(page) {
  const client = await page.createCDPSession();
  const { nodes } = await client.send("Accessibility.getFullAXTree");
  await client.detach();
  const byId = new Map(nodes.map((node) => [node.nodeId, node]));
  const ordered = [];
  const walk = (node) => {
    if (!node) return;
    if (!node.ignored) ordered.push(node);
    (node.childIds ?? []).forEach((id) => walk(byId.get(id)));
  };
  walk(nodes[0]);
  const property = (node, name) => node.properties?.find((p) => p.name === name)?.value.value;
  return ordered.map((node) => ({ role: node.role?.value, name: node.name?.value ?? "", level: property(node, "level") }));
}

export async function landmarks(page) {
  const wanted = ["banner", "navigation", "main", "contentinfo"];
  const found = (await tree(page)).map((node) => node.role).filter((role) => wanted.includes(role));
  return found.join() === wanted.join() ? [] : [`the landmarks are ${found.join(", ")}`];
}

export async function headings(page) {
  await openAll(page);
  const found = (await tree(page)).filter((node) => node.role === "heading");
  const problems = [];
  if (found.filter((h) => h.level === 1).length !== 1 || found[0]?.level !== 1) problems.push("there is not one first heading");
  found.forEach((h, i) => {
    if (!h.name) problems.push("a heading says nothing");
    if (i > 0 && h.level > found[i - 1].level + 1) problems.push(`“${h.name}” skips a level`);
  });
  if (found.filter((h) => h.level === 2).length < 3) problems.push("there are hardly any parts");
  return problems;
}

export async function images(page) {
  await openAll(page);
  const drawn = await page.$$eval("svg[role=img]", (all) => all.length);
  const loose = await page.$$eval("svg:not(svg svg)", (all) =>
    all.filter((svg) => svg.getAttribute("role") !== "img" && svg.getAttribute("aria-hidden") !== "true").length,
  );
  const named = (await tree(page)).filter((node) => ["img", "image"].includes(node.role));
  const problems = named.filter((node) => !node.name.trim()).map(() => "a picture has no name");
  if (named.length !== drawn) problems.push(`${named.length} of ${drawn} pictures are there for a screen reader`);
  if (loose) problems.push(`${loose} pictures are neither named nor hidden`);
  const regions = await page.$$eval("table", (all) => all.filter((t) => !t.caption?.textContent.trim()).length);
  if (regions) problems.push("a table has no caption");
  const cells = await page.$$eval("th", (all) => all.filter((th) => !th.scope).length);
  if (cells) problems.push("a head of a table does not say of what it is the head");
  return problems;
}

/** Tab goes through everything that can be operated, in order, and is seen. */
export async function keyboard(page, { tabsMax = 120 } = {}) {
  const problems = [];
  await page.evaluate(() => document.activeElement?.blur());
  const wanted = await page.evaluate(() => {
    const all = [...document.querySelectorAll("a[href], summary, [tabindex='0']")].filter((e) => e.checkVisibility());
    all.forEach((element, i) => (element.dataset.tab = i));
    return all.length;
  });
  const seen = [];
  for (let i = 0; i < Math.min(wanted, tabsMax); i++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element);
      const visible = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && !/, 0\)$/.test(outlineColor);
      const { width, height } = element.getBoundingClientRect();
      return { tab: element.dataset.tab, visible: visible && width > 0 && height > 0, what: element.outerHTML.slice(0, 80) };
    });
    seen.push(Number(focused.tab));
    if (!focused.visible) problems.push(`nobody sees that the focus is on ${focused.what}`);
  }
  const expected = [...Array(Math.min(wanted, tabsMax)).keys()];
  if (seen.join() !== expected.join()) problems.push(`Tab goes to ${seen.slice(0, 12)}… and not through all in order`);
  const links = await page.$$eval("nav a", (all) => all.map((a) => a.tabIndex));
  if (links.length < 3 || links.some((index) => index !== 0)) problems.push("not all links of the navigation are reached");

  await page.focus("a.skip");
  await page.keyboard.press("Enter");
  if (!(await page.evaluate(() => document.activeElement.id === "main"))) problems.push("the skip link leads nowhere");
  const closed = await page.$("details:not([open]) > summary");
  if (closed) {
    await closed.focus();
    await page.keyboard.press("Space");
    if (!(await closed.evaluate((summary) => summary.parentElement.open))) problems.push("a fold does not open by keyboard");
  }
  return problems;
}

export async function narrow(page) {
  const before = page.viewport();
  await page.setViewport({ width: 320, height: 800 });
  await openAll(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  await page.setViewport(before);
  return wide > 320 ? [`at 320 px the page is ${wide} px wide`] : [];
}

const squeeze = (text) => text.normalize("NFKC").replace(/[\s\u00ad]+/g, "");

/** What is folded is printed. */
export async function print(page) {
  await page.emulateMediaType("print");
  const hidden = await page.evaluate(() => {
    const within = [...document.querySelectorAll("details :is(caption, td, th, p, pre, li)")];
    return within.filter((element) => !element.checkVisibility() || !element.getClientRects().length).length;
  });
  await page.emulateMediaType(null);
  const texts = await page.$$eval("details :is(caption, p)", (all) => all.map((element) => element.innerText || element.textContent));
  const folder = mkdtempSync(join(tmpdir(), "lockgate-report-"));
  try {
    const path = join(folder, "report.pdf");
    await page.pdf({ path, format: "A4", timeout: 120_000 });
    const printed = squeeze(execFileSync("pdftotext", ["-raw", path, "-"], { maxBuffer: 1 << 28 }).toString());
    const missing = texts.map((text) => squeeze(text).slice(0, 40)).filter((text) => !printed.includes(text));
    const problems = missing.slice(0, 3).map((text) => `not printed: ${text}`);
    if (hidden) problems.push(`${hidden} folded things are not printed`);
    return problems;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function ids(page) {
  return page.evaluate(() => {
    const seen = new Set();
    const problems = [];
    for (const { id } of document.querySelectorAll("[id]")) {
      if (seen.has(id)) problems.push(`the id ${id} is there twice`);
      seen.add(id);
    }
    for (const a of document.querySelectorAll("a[href]")) {
      const target = a.getAttribute("href");
      if (!target.startsWith("#") || !seen.has(decodeURIComponent(target.slice(1)))) problems.push(`the link ${target} leads nowhere`);
    }
    for (const element of document.querySelectorAll("[aria-labelledby]")) {
      for (const id of element.getAttribute("aria-labelledby").split(" ")) if (!seen.has(id)) problems.push(`the label ${id} is not there`);
    }
    return problems;
  });
}

export const text = (page) => page.evaluate(() => document.body.innerText);
