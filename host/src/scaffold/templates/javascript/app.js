// Migration `{{name}}`.

import { log } from "lockgate:migration/log@{{interface}}";

export const program = {
  describe() {
    return { title: "{{title}}", author: "your name", reversible: true, grants: [] };
  },

  preflight(_db) {
    return [];
  },

  plan(direction, _db) {
    if (direction === "down") return [{ tag: "sql", val: "DROP TABLE {{name}}_lines;" }];
    return [
      { tag: "sql", val: "CREATE TABLE {{name}}_lines (line text NOT NULL);" },
      { tag: "code", val: "fill" },
    ];
  },

  run(_direction, step, tx) {
    if (step !== "fill") throw error("unknown-step", `there is no step \`${step}\``);
    const rows = tx.execute("INSERT INTO {{name}}_lines VALUES ($1)", [{ tag: "text", val: "hello" }]);
    log("info", `${rows} rows written`);
  },

  runBatch(_direction, step, _tx, _checkpoint) {
    throw error("unknown-step", `there is no step \`${step}\``);
  },

  verify(direction, db) {
    if (direction === "down") return [];
    const [[count]] = db.query("SELECT count(*) FROM {{name}}_lines", []).rows;
    if (count.val === 1n) return [];
    return [{ severity: "block", code: "row-count", message: `there are ${count.val} rows, not 1` }];
  },
};

/** What to throw to have the migration rolled back. Anything else that is thrown reaches the operator without its text. */
function error(code, text) {
  return Object.assign(new Error(text), { payload: { tag: "other", val: { code, text } } });
}
