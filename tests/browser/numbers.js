// Every number of the JSON that a report promises is in it, and says what the JSON says.
import { bytes, duration, range, thousands, word } from "./words.js";

const at = (json, path) => path.split(".").filter(Boolean).reduce((value, key) => value?.[key], json);

/** How each kind of mark is read: from what the JSON has at its path to what must be shown. */
const READ = {
  ms: (value) => duration(value),
  n: (value) => thousands(value),
  bytes: (value) => bytes(value),
  word: (value) => word(value),
  count: (value) => thousands(value.length),
  range: (value) => range(value.low_ms, value.high_ms),
};

/** What is shown and marked: `{path, kind, text}`. */
function marked(page) {
  return page.evaluate((kinds) => {
    const all = [];
    for (const kind of kinds) {
      for (const element of document.querySelectorAll(`[data-${kind}]`)) {
        const at = element.closest("[data-at]")?.dataset.at ?? "";
        all.push({ path: [at, element.dataset[kind]].filter(Boolean).join("."), kind, text: element.textContent.trim() });
      }
    }
    return all;
  }, Object.keys(READ));
}

export async function numbers(page, json) {
  const problems = [];
  const shown = new Set();
  for (const { path, kind, text } of await marked(page)) {
    shown.add(path);
    const value = at(json, path);
    if (value === undefined || value === null) {
      problems.push(`${path} is shown as ${text}, and is not in the JSON`);
      continue;
    }
    const said = kind === "word" ? word(text) : text;
    const expected = READ[kind](value);
    if (said !== expected) problems.push(`${path} is shown as ${said}; the JSON has ${expected}`);
  }
  const limited = await page.evaluate(() => document.body.textContent.includes("in the JSON."));
  for (const path of promised(json, limited)) if (!shown.has(path)) problems.push(`${path} is not shown`);
  return problems.concat(await keys(page, json));
}

/** The paths that must be shown. Where a page says that it leaves out some, only those that it never leaves out. */
function promised(json, limited) {
  const paths = [];
  const add = (prefix, fields) => fields.forEach((field) => paths.push(`${prefix}.${field}`));
  (json.migrations ?? []).forEach((migration, i) => {
    const of = `migrations.${i}`;
    add(of, ["verdict", "reversibility.is", "faults", "hazards"]);
    if (migration.up) add(of, ["up.duration_ms", "up.estimate", "up.wal_bytes"]);
    migration.stages.forEach((stage, k) => {
      add(`${of}.stages.${k}`, stage.outcome === "left-out" ? ["outcome"] : ["outcome", "duration_ms"]);
    });
    if (limited) return;
    for (const way of ["up", "down"].filter((way) => migration[way])) {
      migration[way].steps.forEach((step, k) => {
        const known = ["rows", "wal_bytes", "batches"].filter((field) => step[field] !== null);
        add(`${of}.${way}.steps.${k}`, ["number", "duration_ms", "estimate", ...known]);
        step.tables.forEach((_, t) => add(`${of}.${way}.steps.${k}.tables.${t}`, ["copy_bytes"]));
      });
    }
    (migration.up?.locks ?? []).forEach((_, k) => {
      add(`${of}.up.locks.${k}`, ["mode", "step", "from_ms", "held_ms", "estimate"]);
    });
  });
  (json.workload?.phases ?? []).forEach((_, k) => {
    add(`workload.phases.${k}`, ["duration_ms", "done", "failed", "p50_ms", "p95_ms", "max_ms"]);
  });
  (json.done ?? []).forEach((_, k) => add(`done.${k}`, ["execution_time_ms"]));
  return paths;
}

/** The numbers at the top. */
async function keys(page, json) {
  const shown = await page.$$eval("[data-key]", (all) => all.map((e) => [e.dataset.key, e.textContent.trim()]));
  const expected = json.migrations ? keysOfRehearsal(json) : keysOfRun(json);
  const problems = [];
  for (const [key, value] of Object.entries(expected)) {
    const text = shown.find(([name]) => name === key)?.[1];
    // The name of a relation may be cut or cleaned; how long its lock was held may not.
    const said = key === "longest-lock" ? text?.split(" on ")[0] : text;
    if (said !== value && word(said ?? "") !== value) problems.push(`${key} is shown as ${said}; the JSON has ${value}`);
  }
  return problems;
}

function keysOfRehearsal({ migrations }) {
  const order = ["online-safe", "brief-lock", "blocks-writes", "blocks-reads", "needs-window"];
  const worst = Math.max(...migrations.map((m) => order.indexOf(m.verdict)));
  const locks = migrations.flatMap((m) => m.up?.locks ?? []).filter((lock) => lock.blocks !== "neither");
  const longest = locks.reduce((a, b) => (a && a.held_ms > b.held_ms ? a : b), undefined);
  const total = (end) => migrations.reduce((all, m) => all + (m.up?.estimate[end] ?? 0), 0);
  return {
    migrations: thousands(migrations.length),
    "worst-verdict": migrations.length ? word(order[worst]) : "–",
    "longest-lock": longest ? duration(longest.held_ms) : "none",
    estimate: range(total("low_ms"), total("high_ms")),
  };
}

const keysOfRun = (json) => ({ applied: thousands(json.done.length), took: duration(json.duration_ms) });

/** The pictures say of each step what the JSON says, and draw bars in proportion. */
export async function picture(page, json) {
  const charts = await page.$$eval("#timeline div[data-at]", (all) =>
    all.map((div) => ({
      at: div.dataset.at,
      rows: [...div.querySelectorAll("g.row")].map((row) => ({
        label: row.querySelector(".label").textContent,
        note: row.querySelector(".note").textContent,
        isStep: !!row.querySelector("rect.work"),
        width: Number(row.querySelector("rect")?.getAttribute("width")),
        x: Number(row.querySelector("rect")?.getAttribute("x")),
      })),
    })),
  );
  const problems = [];
  for (const { at: path, rows } of charts) {
    const steps = at(json, path).up.steps;
    let perMs;
    for (const { label, note, isStep, width } of rows) {
      if (!isStep) continue;
      const step = steps.find((step) => String(step.number) === label.split(" ")[0]);
      if (!step || note !== duration(step.duration_ms)) problems.push(`${path}: the picture says ${note} of step ${label}`);
      else if (width > 20) {
        perMs ??= width / step.duration_ms;
        const off = Math.abs(width / step.duration_ms / perMs - 1);
        if (off > 0.02) problems.push(`${path}: the bar of step ${label} is not as long as it took`);
      }
    }
  }
  return problems;
}
