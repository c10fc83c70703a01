//! Migration `canonical_emails` of the auth service: `users.email_canonical`, equal for all spellings of a mailbox.
//!
//! `users.email` stays as it was typed. Reading goes in pages by key, so that memory does not grow with the table; one
//! UPDATE a page. `plugins/canonical-emails-python` and `-javascript` are the same migration.

mod emails;
mod users;

use std::collections::BTreeSet;

use lockgate_plugin::{
    Description, Direction, Error, Finding, Migration, Reader, Result, Step, Transaction, Uuid, export, log,
};

use emails::{canonical, is_mistyped};
use users::{Users, pages};

// A derived column is nobody's change of an account: no new `updated_at`, no audit row for each user.
const ADD_COLUMN: &str = "
LOCK TABLE users IN ACCESS EXCLUSIVE MODE;
ALTER TABLE users ADD COLUMN email_canonical text;
COMMENT ON COLUMN users.email_canonical IS 'The form of email that all spellings of a mailbox share.';
ALTER TABLE users DISABLE TRIGGER users_set_updated_at, DISABLE TRIGGER users_audit;
";
const INDEX: &str = "
ALTER TABLE users ENABLE TRIGGER users_set_updated_at, ENABLE TRIGGER users_audit;
CREATE INDEX users_email_canonical_idx ON users (email_canonical);
COMMENT ON INDEX users_email_canonical_idx IS 'Accounts of one mailbox.';
";
const DROP_COLUMN: &str = "ALTER TABLE users DROP COLUMN email_canonical;";

const FILL: &str = "
UPDATE users SET email_canonical = new.email
FROM unnest($1::uuid[], $2::text[]) AS new (id, email) WHERE users.id = new.id
";
const SHARED: &str = "
SELECT count(*) FROM (
    SELECT count(*) OVER (PARTITION BY email_canonical) AS users FROM users WHERE deleted_at IS NULL
) AS mailbox WHERE mailbox.users > 1
";
const LEFT_OVER: &str = "
SELECT count(*) FROM pg_attribute
WHERE attrelid = 'users'::regclass AND attname = 'email_canonical' AND NOT attisdropped
";

struct CanonicalEmails;

impl Migration for CanonicalEmails {
    fn describe() -> Description {
        Description::new("users.email_canonical", "the Lockgate authors")
    }

    fn preflight(db: &Reader) -> Result<Vec<Finding>> {
        let (mut unreadable, mut mistyped, mut domains) = (Users::default(), Users::default(), BTreeSet::new());
        pages(db, "SELECT id, email FROM users", |page| {
            for user in page {
                match canonical(user.get("email")?).as_deref().and_then(|address| address.split_once('@')) {
                    None => unreadable.push(user.get("id")?),
                    Some((_, domain)) if is_mistyped(domain) => {
                        mistyped.push(user.get("id")?);
                        domains.insert(domain.to_owned());
                    }
                    Some(_) => {}
                }
            }
            Ok(())
        })?;
        let mut findings = Vec::new();
        if !unreadable.is_empty() {
            let finding = Finding::block("unreadable-email", format!("no readable address: {unreadable}"));
            findings.push(finding.hint("correct these addresses, then run again"));
        }
        if !mistyped.is_empty() {
            let domains = Vec::from_iter(domains).join(", ");
            let message = format!("the domain is one slip away from a well-known one ({domains}): {mistyped}");
            let hint = "ask them for their address; this migration changes none";
            findings.push(Finding::warn("mistyped-domain", message).hint(hint));
        }
        Ok(findings)
    }

    fn plan(direction: Direction, _: &Reader) -> Result<Vec<Step>> {
        Ok(match direction {
            Direction::Up => vec![Step::sql(ADD_COLUMN), Step::code("fill"), Step::sql(INDEX)],
            Direction::Down => vec![Step::sql(DROP_COLUMN)],
        })
    }

    fn run(direction: Direction, step: &str, tx: &Transaction) -> Result<()> {
        let (Direction::Up, "fill") = (direction, step) else {
            return Err(Error::unknown_step(step));
        };
        let (mut unreadable, mut filled) = (Users::default(), 0);
        pages(tx, "SELECT id, email FROM users", |page| {
            let (mut ids, mut addresses) = (Vec::new(), Vec::new());
            for user in page {
                let id = user.get::<Uuid>("id")?;
                let address = canonical(user.get("email")?);
                if address.is_none() {
                    unreadable.push(id);
                }
                ids.push(id);
                addresses.push(address);
            }
            filled += tx.execute(FILL, &[ids.into(), addresses.into()])?;
            Ok(())
        })?;
        // Preflight found none, but ran before the table was locked.
        if !unreadable.is_empty() {
            return Err(Error::new("unreadable-email", format!("no readable address: {unreadable}")));
        }
        log::info(format_args!("{filled} addresses have a canonical form"));
        Ok(())
    }

    fn verify(direction: Direction, db: &Reader) -> Result<Vec<Finding>> {
        let count = |sql| db.query_one(sql, &[])?.get::<i64>(0);
        if direction == Direction::Down {
            let left = Finding::block("left-over", "the column email_canonical is still there");
            return Ok(Vec::from_iter((count(LEFT_OVER)? > 0).then_some(left)));
        }
        let mut wrong = Users::default();
        pages(db, "SELECT id, email, email_canonical FROM users", |page| {
            for user in page {
                let stored = user.get::<Option<&str>>("email_canonical")?;
                if stored.is_none() || stored != canonical(user.get("email")?).as_deref() {
                    wrong.push(user.get("id")?);
                }
            }
            Ok(())
        })?;
        if !wrong.is_empty() {
            let message = format!("another form than that of the address: {wrong}");
            return Ok(vec![Finding::block("not-canonical", message)]);
        }
        let shared = count(SHARED)?;
        let message = format!("users who share a mailbox with another: {shared}");
        let finding = Finding::info("shared-mailbox", message).hint("GROUP BY email_canonical shows them");
        Ok(Vec::from_iter((shared > 0).then_some(finding)))
    }
}

export!(CanonicalEmails);
