// Migration `canonical_emails` of the auth service: `users.email_canonical`, equal for all spellings of a mailbox.
//
// `users.email` stays as it was typed. Reading goes in pages by key, so that memory does not grow with the table; one
// UPDATE a page. `plugins/canonical-emails-rust` and `-python` are the same migration.

import { log } from "lockgate:migration/log@0.1.0";

import { canonical, isMistyped } from "./emails.js";

const PAGE_SIZE = 5000;
const SHOWN_MAX = 5;

// A derived column is nobody's change of an account: no new `updated_at`, no audit row for each user.
const ADD_COLUMN = `
LOCK TABLE users IN ACCESS EXCLUSIVE MODE;
ALTER TABLE users ADD COLUMN email_canonical text;
COMMENT ON COLUMN users.email_canonical IS 'The form of email that all spellings of a mailbox share.';
ALTER TABLE users DISABLE TRIGGER users_set_updated_at, DISABLE TRIGGER users_audit;
`;
const INDEX = `
ALTER TABLE users ENABLE TRIGGER users_set_updated_at, ENABLE TRIGGER users_audit;
CREATE INDEX users_email_canonical_idx ON users (email_canonical);
COMMENT ON INDEX users_email_canonical_idx IS 'Accounts of one mailbox.';
`;
const DROP_COLUMN = "ALTER TABLE users DROP COLUMN email_canonical;";

const FILL = `
UPDATE users SET email_canonical = new.email
FROM unnest($1::uuid[], $2::text[]) AS new (id, email) WHERE users.id = new.id
`;
const SHARED = `
SELECT count(*) FROM (
    SELECT count(*) OVER (PARTITION BY email_canonical) AS users FROM users WHERE deleted_at IS NULL
) AS mailbox WHERE mailbox.users > 1
`;
const LEFT_OVER = `
SELECT count(*) FROM pg_attribute
WHERE attrelid = 'users'::regclass AND attname = 'email_canonical' AND NOT attisdropped
`;

export const program = {
  describe() {
    return { title: "users.email_canonical", author: "the Lockgate authors", reversible: true, grants: [] };
  },

  preflight(db) {
    const [unreadable, mistyped, domains] = [new Users(), new Users(), new Set()];
    for (const page of pages(db, "SELECT id, email FROM users")) {
      for (const [user, email] of page) {
        const address = canonical(email.val);
        const domain = address?.split("@")[1];
        if (address === undefined) {
          unreadable.add(user.val);
        } else if (isMistyped(domain)) {
          mistyped.add(user.val);
          domains.add(domain);
        }
      }
    }
    const findings = [];
    if (unreadable.count) {
      const hint = "correct these addresses, then run again";
      findings.push({ severity: "block", code: "unreadable-email", message: `no readable address: ${unreadable}`, hint });
    }
    if (mistyped.count) {
      const message = `the domain is one slip away from a well-known one (${[...domains].sort().join(", ")}): ${mistyped}`;
      const hint = "ask them for their address; this migration changes none";
      findings.push({ severity: "warn", code: "mistyped-domain", message, hint });
    }
    return findings;
  },

  plan(direction, _db) {
    if (direction === "down") return [{ tag: "sql", val: DROP_COLUMN }];
    return [{ tag: "sql", val: ADD_COLUMN }, { tag: "code", val: "fill" }, { tag: "sql", val: INDEX }];
  },

  run(direction, step, tx) {
    if (direction !== "up" || step !== "fill") throw error("unknown-step", `there is no step \`${step}\``);
    const unreadable = new Users();
    let filled = 0n;
    for (const page of pages(tx, "SELECT id, email FROM users")) {
      const addresses = page.map(([user, email]) => {
        const address = canonical(email.val);
        if (address === undefined) unreadable.add(user.val);
        return address;
      });
      const ids = page.map(([user]) => user.val);
      filled += tx.execute(FILL, [{ tag: "uuid-array", val: ids }, { tag: "text-array", val: addresses }]);
    }
    // Preflight found none, but ran before the table was locked.
    if (unreadable.count) throw error("unreadable-email", `no readable address: ${unreadable}`);
    log("info", `${filled} addresses have a canonical form`);
  },

  runBatch(_direction, step, _tx, _checkpoint) {
    throw error("unknown-step", `there is no step \`${step}\``);
  },

  verify(direction, db) {
    if (direction === "down") {
      const left = count(db, LEFT_OVER);
      return left ? [{ severity: "block", code: "left-over", message: "the column email_canonical is still there" }] : [];
    }
    const wrong = new Users();
    for (const page of pages(db, "SELECT id, email, email_canonical FROM users")) {
      for (const [user, email, stored] of page) {
        if (stored.tag === "null" || stored.val !== canonical(email.val)) wrong.add(user.val);
      }
    }
    if (wrong.count) {
      return [{ severity: "block", code: "not-canonical", message: `another form than that of the address: ${wrong}` }];
    }
    const shared = count(db, SHARED);
    if (!shared) return [];
    const message = `users who share a mailbox with another: ${shared}`;
    return [{ severity: "info", code: "shared-mailbox", message, hint: "GROUP BY email_canonical shows them" }];
  },
};

/** Users to be named in a message: the first few, and how many there are. By id, never by address. */
class Users {
  first = [];
  count = 0;

  add(halves) {
    this.count += 1;
    if (this.first.length < SHOWN_MAX) this.first.push(halves);
  }

  toString() {
    const more = this.count > SHOWN_MAX ? ` and ${this.count - SHOWN_MAX} more` : "";
    return `${this.count} of users (${this.first.map(uuid).join(", ")}${more})`;
  }
}

function uuid(halves) {
  const hex = Array.from(halves, (half) => half.toString(16).padStart(16, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** The rows of `select`, of which the first column is users.id, page by page. */
function* pages(db, select) {
  const sql = `${select} WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT ${PAGE_SIZE}`;
  let last = { tag: "null" };
  for (;;) {
    const { rows } = db.query(sql, [last]);
    if (rows.length === 0) return;
    yield rows;
    last = rows.at(-1)[0];
  }
}

/** The only value of a query: its count. */
function count(db, sql) {
  return db.query(sql, []).rows[0][0].val;
}

/** What an exported function throws to have the migration rolled back. */
function error(code, text) {
  return Object.assign(new Error(text), { payload: { tag: "other", val: { code, text } } });
}
