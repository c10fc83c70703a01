// Ways to break a report, and the check that must notice each. A check that nothing here sets off would prove nothing.

const replace = (from, to) => (html) => {
  const broken = html.replace(from, to);
  if (broken === html) throw new Error(`there is nothing to break: ${from}`);
  return broken;
};
const style = (css) => replace("</style>", `${css}</style>`);
const policy = /<meta http-equiv="Content-Security-Policy"[^>]*>/;
const all = (...steps) => (html) => steps.reduce((text, step) => step(text), html);

export const FAULTS = [
  ["a script that fails", "console", all(replace(policy, ""), replace("</body>", "<script>throw new Error('x')</script></body>"))],
  ["a script that the policy stops", "console", replace("</body>", "<script>1</script></body>")],
  ["a picture from elsewhere", "network", all(replace(policy, ""), replace("</body>", "<img alt='' src='http://127.0.0.1:9/x.png'></body>"))],
  ["a sentence that a script adds", "script", all(replace(policy, ""), replace("</body>", "<script>document.querySelector('h1').append('!')</script></body>"))],
  ["no banner", "landmarks", all(replace('<header class="top">', "<div>"), replace("</header>", "</div>"))],
  ["no main part", "landmarks", all(replace('<main id="main" tabindex="-1">', '<div id="main" tabindex="-1">'), replace("</main>", "</div>"))],
  ["a heading that skips a level", "headings", all(replace(/<h3>/, "<h5>"), replace(/<\/h3>/, "</h5>"))],
  ["a picture without a name", "images", replace(/role="img" aria-labelledby="c0-t c0-d"><title[^>]*>[^<]*<\/title>/, 'role="img">')],
  ["a picture that is not marked as one", "images", replace('role="img"', "")],
  ["a table without a caption", "images", replace(/<caption>[^<]*<\/caption>/, "")],
  ["focus that nobody sees", "keyboard", style(":focus-visible { outline: none }")],
  ["a link out of reach", "keyboard", replace('<a href="#verdicts">', '<a href="#verdicts" tabindex="-1">')],
  ["a skip link to nowhere", "keyboard", replace('class="skip" href="#main"', 'class="skip" href="#todo"')],
  ["a fold that does not open", "keyboard", all(replace(/<details>/, "<details><summary style='display:none'></summary>"))],
  ["pale text", "contrast", style(":root { --quiet: #9a9a9a }")],
  ["pale text in the dark", "contrast", style("@media (prefers-color-scheme: dark) { :root { --quiet: #555 } }")],
  ["no dark", "contrast", (html) => html.replaceAll("prefers-color-scheme: dark", "prefers-color-scheme: none")],
  ["a page too wide", "narrow", replace("</main>", "<div style='width: 500px'>x</div></main>")],
  ["folds that are not printed", "print", replace("details::details-content", "details::nothing")],
  ["an id twice", "ids", replace("</main>", "<p id='todo'></p></main>")],
  ["a link to nowhere", "ids", replace('href="#m0"', 'href="#nowhere"')],
  ["a wrong duration of a step", "numbers", replace(/data-ms="duration_ms">2\.3 ms/, 'data-ms="duration_ms">2.4 ms')],
  ["a wrong size", "numbers", replace(/data-bytes="wal_bytes">58\.2 MiB/, 'data-bytes="wal_bytes">58.3 MiB')],
  ["a wrong number of rows", "numbers", replace('data-n="rows">240,000', 'data-n="rows">24,000')],
  ["a wrong estimate", "numbers", replace(/data-range="estimate">[^<]*/, 'data-range="estimate">1 ms')],
  ["a wrong estimate of a migration", "numbers", replace(/data-range="up.estimate">[^<]*/, 'data-range="up.estimate">1 ms')],
  ["a wrong verdict", "numbers", replace('data-word="verdict">needs a window', 'data-word="verdict">brief lock')],
  ["a wrong outcome of a stage", "numbers", replace('data-word="outcome">failed', 'data-word="outcome">passed')],
  ["a wrong latency", "numbers", replace(/data-ms="p95_ms">[^<]*/, 'data-ms="p95_ms">1 ms')],
  ["a wrong total", "numbers", replace(/data-key="estimate">[^<]*/, 'data-key="estimate">1 ms')],
  ["a wrong longest lock", "numbers", replace(/data-key="longest-lock">[^<]*/, 'data-key="longest-lock">2.8 s on orders')],
  ["a lock that is missing", "numbers", replace(/<tr data-at="migrations\.2\.up\.locks\.1">.*?<\/tr>/s, "")],
  ["a migration that is missing", "numbers", (html) => html.replaceAll(/<tr data-at="migrations\.1">.*?<\/tr>/gs, "")],
  ["a wrong duration in a picture", "picture", replace(/(<text class="note"[^>]*>)2\.4 s</, "$19.9 s<")],
];
