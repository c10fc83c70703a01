use lockgate_plugin::{Batch, Checkpoint, Error, Reader, Result, Row, Step, Transaction, Uuid, log, params};

use crate::{HASH, RECORD, position::Position, settings::Settings, token};

/// Tokens in plain text. A sequential look at the first page would read all that is hashed already, so it goes by key.
const PLAIN: &str = "(session_token !~ '^sha256:[0-9a-f]{64}$' OR refresh_token !~ '^sha256:[0-9a-f]{64}$')";

pub fn plan(settings: &Settings) -> Vec<Step> {
    let mut prepare = String::from(include_str!("sql/prepare.up.sql"));
    if settings.keep_originals {
        prepare.push_str(include_str!("sql/originals.up.sql"));
    }
    vec![
        Step::sql(prepare),
        Step::batched(HASH),
        Step::sql(include_str!("sql/constrain.up.sql")),
        // PostgreSQL would do it inside a transaction, but then the lock of ADD CONSTRAINT, which keeps everybody out, would
        // be held while all rows are read.
        Step::outside_transaction(
            "ALTER TABLE user_sessions VALIDATE CONSTRAINT user_sessions_tokens_are_digests",
            "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'user_sessions'::regclass
                            AND conname = 'user_sessions_tokens_are_digests' AND convalidated)",
        ),
        Step::code(RECORD),
    ]
}

/// Hashes one page.
pub fn hash(tx: &Transaction, checkpoint: &Checkpoint, batch_rows: i64) -> Result<Batch> {
    let position = Position::of(checkpoint, tx, &format!("SELECT count(*) FROM user_sessions WHERE {PLAIN}"))?;
    // Locked, so that nobody changes a token between its reading and its writing.
    let page = tx.query(
        &format!(
            "SELECT id, session_token, refresh_token FROM user_sessions
             WHERE ($1::uuid IS NULL OR id > $1) AND {PLAIN} ORDER BY id LIMIT $2 FOR UPDATE"
        ),
        params![position.after, batch_rows],
    )?;
    let position = position.after_page(&page)?;
    if originals_are_kept(tx)? {
        keep(tx, &page)?;
    }
    write(tx, &page)?;
    let batch = position.batch(page.len(), batch_rows);
    if batch == Batch::Finished {
        log::info(format_args!("the tokens of {} sessions are hashed", position.done()));
    }
    Ok(batch)
}

/// The setting may have changed since the plan was made; the table says what that plan was.
pub fn originals_are_kept(db: &Reader) -> Result<bool> {
    db.query_one("SELECT to_regclass('user_sessions_token_originals') IS NOT NULL", &[])?.get(0)
}

fn keep(tx: &Transaction, page: &[Row]) -> Result<()> {
    tx.execute(
        "INSERT INTO user_sessions_token_originals (session_id, session_token, refresh_token)
         SELECT id, CASE WHEN session_token !~ $2::text THEN session_token END,
                    CASE WHEN refresh_token !~ $2::text THEN refresh_token END
         FROM user_sessions WHERE id = ANY ($1::uuid[])",
        params![ids(page)?, token::PATTERN],
    )?;
    Ok(())
}

fn write(tx: &Transaction, page: &[Row]) -> Result<()> {
    let (mut plain_session, mut plain_refresh) = (Vec::new(), Vec::new());
    let (mut session, mut refresh) = (Vec::new(), Vec::new());
    for row in page {
        let (_, session_token, refresh_token): (Uuid, &str, Option<&str>) = row.read()?;
        session.push(token::digested(session_token));
        refresh.push(refresh_token.map(token::digested));
        plain_session.push(session_token);
        plain_refresh.push(refresh_token);
    }
    let changed = tx.execute(
        "UPDATE user_sessions AS session SET session_token = new.session_token, refresh_token = new.refresh_token
         FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (id, session_token, refresh_token)
         WHERE session.id = new.id",
        params![ids(page)?, session, refresh],
    )?;
    // The digests of this component beside those of the server, which the application will compare.
    let right: i64 = tx
        .query_one(
            "SELECT count(*)
             FROM unnest($1::uuid[], $2::text[], $3::text[]) AS old (id, session_token, refresh_token)
             JOIN user_sessions AS session USING (id)
             WHERE session.session_token = CASE WHEN old.session_token ~ $4::text THEN old.session_token
                                                ELSE session_token_digest(old.session_token) END
               AND session.refresh_token IS NOT DISTINCT FROM
                   CASE WHEN old.refresh_token ~ $4::text THEN old.refresh_token
                        ELSE session_token_digest(old.refresh_token) END",
            params![ids(page)?, plain_session, plain_refresh, token::PATTERN],
        )?
        .get(0)?;
    let rows = page.len() as u64;
    if changed != rows || right != rows as i64 {
        let text =
            format!("of {rows} sessions in this batch, {changed} were written and {right} have the right digests");
        return Err(Error::new("not-hashed", text));
    }
    Ok(())
}

fn ids(page: &[Row]) -> Result<Vec<Uuid>> {
    page.iter().map(|row| row.get("id")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_the_same_everywhere() {
        assert_eq!(PLAIN.matches(token::PATTERN).count(), 2);
        assert_eq!(include_str!("sql/constrain.up.sql").matches(token::PATTERN).count(), 2);
        assert_eq!(include_str!("sql/prepare.up.sql").matches(token::PATTERN).count(), 1);
    }

    #[test]
    fn originals_are_kept_only_where_the_operator_asks_so() {
        let prepares = |keep_originals| match plan(&Settings { keep_originals, batch_rows: 1 }).swap_remove(0) {
            Step::Sql(text) => text.contains("CREATE TABLE user_sessions_token_originals"),
            _ => panic!("the first step prepares"),
        };
        assert!(prepares(true) && !prepares(false));
    }
}
