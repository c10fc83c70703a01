use lockgate_plugin::{Finding, Reader, Result, params};

use crate::{preflight, token};

/// Every token is a digest, and none is there twice. That each is the digest of what it was, every batch has checked.
pub fn up(db: &Reader) -> Result<Vec<Finding>> {
    let found = db.query_one(
        "SELECT count(*) FILTER (WHERE session_token !~ $1 OR refresh_token !~ $1) AS plain,
                count(*) - count(DISTINCT session_token) + count(refresh_token) - count(DISTINCT refresh_token) AS repeated,
                (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'user_sessions'::regclass
                 AND tgname = 'user_sessions_digest_tokens' AND tgenabled IN ('O', 'A')) AS triggers,
                (SELECT count(*) FROM pg_constraint WHERE conrelid = 'user_sessions'::regclass
                 AND conname = 'user_sessions_tokens_are_digests' AND convalidated) AS constraints
         FROM user_sessions",
        params![token::PATTERN],
    )?;
    let mut findings = Vec::new();
    match found.get::<i64>("plain")? {
        0 => {}
        plain => {
            findings.push(Finding::block("plain-text", format!("{plain} sessions have a token that is no digest")))
        }
    }
    match found.get::<i64>("repeated")? {
        0 => {}
        repeated => findings.push(Finding::block("repeated", format!("{repeated} digests are there more than once"))),
    }
    if found.get::<i64>("triggers")? != 1 || found.get::<i64>("constraints")? != 1 {
        findings
            .push(Finding::block("unguarded", "the trigger or the constraint that refuses plain tokens is missing"));
    }
    Ok(findings)
}

/// No digest and nothing of `up` is left.
pub fn down(db: &Reader) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let hashed: i64 = db
        .query_one(
            "SELECT count(*) FROM user_sessions WHERE session_token ~ $1 OR refresh_token ~ $1",
            params![token::PATTERN],
        )?
        .get(0)?;
    if hashed > 0 {
        findings.push(Finding::block("digests-left", format!("{hashed} sessions still have a digest for a token")));
    }
    for object in preflight::own_objects(db)? {
        findings.push(Finding::block("left-over", format!("the {object} is still there")));
    }
    Ok(findings)
}
