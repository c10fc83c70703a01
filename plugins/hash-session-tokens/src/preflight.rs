use lockgate_plugin::{Finding, Reader, Result, Row, params};

use crate::{settings::Settings, token};

/// What `up` makes, with the query that finds it.
const OWN: &str = "
    SELECT 'table user_sessions_token_originals' WHERE to_regclass('user_sessions_token_originals') IS NOT NULL
    UNION ALL SELECT 'function session_token_digest' WHERE to_regproc('session_token_digest') IS NOT NULL
    UNION ALL SELECT 'function digest_session_tokens' WHERE to_regproc('digest_session_tokens') IS NOT NULL
    UNION ALL SELECT 'constraint user_sessions_tokens_are_digests' FROM pg_constraint
        WHERE conrelid = to_regclass('user_sessions') AND conname = 'user_sessions_tokens_are_digests'
    UNION ALL SELECT 'trigger user_sessions_digest_tokens' FROM pg_trigger
        WHERE tgrelid = to_regclass('user_sessions') AND tgname = 'user_sessions_digest_tokens'";

/// What is there of that.
pub fn own_objects(db: &Reader) -> Result<Vec<String>> {
    db.query(OWN, &[])?.iter().map(|row| row.get(0)).collect()
}

/// Looks whether `up` would succeed.
pub fn look(db: &Reader, settings: &Settings) -> Result<Vec<Finding>> {
    let table = db.query_one(
        "SELECT to_regclass('user_sessions') IS NOT NULL AS found,
                EXISTS (SELECT FROM pg_class
                        WHERE oid = to_regclass('user_sessions') AND pg_has_role(relowner, 'USAGE')) AS owned",
        &[],
    )?;
    if !table.get::<bool>("found")? {
        let finding = Finding::block("no-sessions", "there is no table `user_sessions`");
        return Ok(vec![finding.hint("apply migration 001 first; its schema must be in the search_path")]);
    }
    let mut findings = columns(db)?;
    if !findings.is_empty() {
        return Ok(findings);
    }
    if !table.get::<bool>("owned")? {
        let finding =
            Finding::block("not-owner", "this role does not own `user_sessions` and cannot add a trigger to it");
        findings.push(finding.hint("run the migrations as the owner of the schema"));
    }
    for object in own_objects(db)? {
        let finding = Finding::block("name-taken", format!("there is a {object} already"));
        findings.push(finding.hint("see whose it is; then rename or drop it"));
    }
    let survey = db.query_one(
        "SELECT count(*) AS sessions,
                count(*) FILTER (WHERE starts_with(session_token, $1) OR starts_with(refresh_token, $1)) AS prefixed,
                pg_size_pretty(pg_total_relation_size('user_sessions')) AS size
         FROM user_sessions",
        params![token::PREFIX],
    )?;
    findings.extend(Survey::of(&survey)?.findings(settings));
    Ok(findings)
}

/// The columns as migration 001 made them, each token unique.
fn columns(db: &Reader) -> Result<Vec<Finding>> {
    let wrong = db.query(
        "SELECT wanted.name
         FROM (VALUES ('id', 'uuid', true), ('session_token', 'text', true), ('refresh_token', 'text', false))
              AS wanted (name, type, not_null)
         WHERE NOT EXISTS (
             SELECT FROM pg_attribute
             WHERE attrelid = to_regclass('user_sessions') AND attname = wanted.name AND NOT attisdropped
               AND format_type(atttypid, NULL) = wanted.type AND attnotnull = wanted.not_null
               AND EXISTS (SELECT FROM pg_index
                           WHERE indrelid = attrelid AND indisunique AND indisvalid AND indpred IS NULL
                             AND indnkeyatts = 1 AND indkey[0] = attnum))",
        &[],
    )?;
    wrong
        .iter()
        .map(|row| {
            let message =
                format!("the column `{}` of `user_sessions` is not as migration 001 made it", row.get::<&str>(0)?);
            Ok(Finding::block("wrong-column", message).hint("compare its type, NOT NULL and unique index with 001"))
        })
        .collect()
}

/// What `up` would meet.
#[derive(Debug)]
struct Survey {
    sessions: i64,
    prefixed: i64,
    size: String,
}

impl Survey {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self { sessions: row.get("sessions")?, prefixed: row.get("prefixed")?, size: row.get("size")? })
    }

    fn findings(&self, settings: &Settings) -> Vec<Finding> {
        let Self { sessions, prefixed, size } = self;
        let mut findings = Vec::new();
        if *prefixed > 0 {
            let message =
                format!("{prefixed} sessions have a token that begins with `{}`, as digests will", token::PREFIX);
            let hint = "revoke and remove these sessions, or find out who has hashed them";
            findings.push(Finding::block("prefix-taken", message).hint(hint));
        }
        let batches = u64::try_from(*sessions).unwrap_or_default().div_ceil(settings.batch_rows.unsigned_abs());
        let message =
            format!("{sessions} sessions ({size} with indexes) in {batches} batches of {}", settings.batch_rows);
        findings.push(Finding::info("size", message));
        findings.push(if settings.keep_originals {
            let message = "the plain tokens stay in user_sessions_token_originals, so that down is possible";
            Finding::warn("originals-kept", message).hint("drop the table once there is no way back to go")
        } else {
            let message = "the plain tokens are not kept: there is no down";
            Finding::info("originals-not-kept", message).hint("set keep_originals to keep them")
        });
        findings
    }
}

#[cfg(test)]
mod tests {
    use lockgate_plugin::Severity;

    use super::*;

    fn codes(prefixed: i64, keep_originals: bool) -> Vec<(Severity, String)> {
        let survey = Survey { sessions: 11, prefixed, size: "8 kB".into() };
        let findings = survey.findings(&Settings { keep_originals, batch_rows: 5 });
        assert!(findings.iter().any(|finding| finding.message == "11 sessions (8 kB with indexes) in 3 batches of 5"));
        findings.into_iter().map(|finding| (finding.severity, finding.code)).collect()
    }

    #[test]
    fn the_operator_is_told_what_becomes_of_the_originals() {
        let size = (Severity::Info, String::from("size"));
        assert_eq!(codes(0, true), [size.clone(), (Severity::Warn, "originals-kept".into())]);
        assert_eq!(codes(0, false), [size, (Severity::Info, "originals-not-kept".into())]);
    }

    #[test]
    fn a_token_with_the_prefix_stops_the_run() {
        assert_eq!(codes(1, false)[0], (Severity::Block, "prefix-taken".into()));
    }
}
