use lockgate_plugin::{Batch, Checkpoint, Direction, Error, Reader, Result, Row, Step, Transaction, Uuid, log, params};

use crate::{
    CHECK, RESTORE, audit,
    position::Position,
    token::{self, Former},
    up,
};

/// Sessions with a digest.
const HASHED: &str =
    "(session.session_token ~ '^sha256:[0-9a-f]{64}$' OR session.refresh_token ~ '^sha256:[0-9a-f]{64}$')";

pub fn plan(db: &Reader) -> Result<Vec<Step>> {
    if !up::originals_are_kept(db)? {
        let text = "the plain tokens were not kept, or user_sessions_token_originals was dropped since: \
                    digests cannot be undone. Restore a backup from before 004, or go on";
        return Err(Error::new("originals-not-kept", text));
    }
    Ok(vec![
        Step::sql(include_str!("sql/release.down.sql")),
        Step::batched(RESTORE),
        Step::code(CHECK),
        Step::sql(include_str!("sql/drop.down.sql")),
    ])
}

/// Brings one page of originals back.
pub fn restore(tx: &Transaction, checkpoint: &Checkpoint, batch_rows: i64) -> Result<Batch> {
    let count = format!("SELECT count(*) FROM user_sessions AS session WHERE {HASHED}");
    let position = Position::of(checkpoint, tx, &count)?;
    let page = page(tx, position.after, batch_rows)?;
    Page::of(&page)?.write(tx)?;
    let position = position.after_page(&page)?;
    Ok(position.batch(page.len(), batch_rows))
}

/// Brings back what an application that knows only digests has written behind the batches, and keeps others out until all
/// is committed.
pub fn check(tx: &Transaction) -> Result<()> {
    const ROWS: i64 = 5_000;
    tx.execute("LOCK TABLE user_sessions IN SHARE ROW EXCLUSIVE MODE", &[])?;
    let mut after = None;
    loop {
        let rows = page(tx, after, ROWS)?;
        Page::of(&rows)?.write(tx)?;
        match rows.last() {
            Some(last) if rows.len() as i64 == ROWS => after = Some(last.get("id")?),
            _ => break,
        }
    }
    audit::record(tx, Direction::Down)
}

fn page(tx: &Transaction, after: Option<Uuid>, rows: i64) -> Result<Vec<Row>> {
    tx.query(
        &format!(
            "SELECT session.id, session.session_token, session.refresh_token,
                    original.session_token AS session_original, original.refresh_token AS refresh_original
             FROM user_sessions AS session
             LEFT JOIN user_sessions_token_originals AS original ON original.session_id = session.id
             WHERE ($1::uuid IS NULL OR session.id > $1) AND {HASHED} ORDER BY session.id LIMIT $2 FOR UPDATE OF session"
        ),
        params![after, rows],
    )
}

/// What the sessions of a page become.
#[derive(Debug, Default)]
struct Page {
    ids: Vec<Uuid>,
    /// None: nobody knows the token, so the session gets one that nobody knows.
    session: Vec<Option<String>>,
    refresh: Vec<Option<String>>,
    /// To be revoked.
    lost: Vec<Uuid>,
    not_renewable: usize,
}

impl Page {
    fn of(rows: &[Row]) -> Result<Self> {
        let mut page = Self::default();
        for row in rows {
            let (id, session, refresh, session_original, refresh_original): (_, &str, Option<&str>, _, _) =
                row.read()?;
            page.push(
                id,
                token::former(session, session_original),
                refresh.map(|text| token::former(text, refresh_original)),
            );
        }
        Ok(page)
    }

    fn push(&mut self, id: Uuid, session: Former, refresh: Option<Former>) {
        self.ids.push(id);
        self.session.push(match session {
            Former::Plain(token) => Some(token),
            Former::Lost => {
                self.lost.push(id);
                None
            }
        });
        self.refresh.push(match refresh {
            Some(Former::Plain(token)) => Some(token),
            Some(Former::Lost) => {
                self.not_renewable += 1;
                None
            }
            None => None,
        });
    }

    fn write(self, tx: &Transaction) -> Result<()> {
        let Self { ids, session, refresh, lost, not_renewable } = self;
        let rows = ids.len() as u64;
        let changed = tx.execute(
            "UPDATE user_sessions AS session
             SET session_token = coalesce(new.session_token, encode(gen_random_bytes(32), 'hex')),
                 refresh_token = new.refresh_token
             FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (id, session_token, refresh_token)
             WHERE session.id = new.id",
            params![ids.clone(), session.clone(), refresh.clone()],
        )?;
        let back: i64 = tx
            .query_one(
                "SELECT count(*)
                 FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (id, session_token, refresh_token)
                 JOIN user_sessions AS session USING (id)
                 WHERE session.session_token = coalesce(new.session_token, session.session_token)
                   AND session.refresh_token IS NOT DISTINCT FROM new.refresh_token",
                params![ids, session, refresh],
            )?
            .get(0)?;
        if changed != rows || back != rows as i64 {
            let text = format!("of {rows} sessions in this batch, {changed} were written and {back} are as they were");
            return Err(Error::new("not-restored", text));
        }
        if !lost.is_empty() {
            log::warn(format_args!("opened since and without an original, so revoked: {} sessions", lost.len()));
            tx.execute(
                "UPDATE user_sessions SET status = 'revoked', revoked_at = now()
                 WHERE id = ANY ($1::uuid[]) AND status = 'active'",
                params![lost],
            )?;
        }
        if not_renewable > 0 {
            log::warn(format_args!("renewed since, so that they cannot be renewed again: {not_renewable} sessions"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_whose_token_nobody_knows_is_revoked() {
        let mut page = Page::default();
        page.push(Uuid(1), Former::Plain("a".into()), None);
        page.push(Uuid(2), Former::Lost, Some(Former::Lost));
        page.push(Uuid(3), Former::Plain("c".into()), Some(Former::Plain("d".into())));
        assert_eq!(page.lost, [Uuid(2)]);
        assert_eq!(page.session, [Some("a".into()), None, Some("c".into())]);
        assert_eq!(page.refresh, [None, None, Some("d".into())]);
        assert_eq!(page.not_renewable, 1);
    }

    #[test]
    fn the_pattern_is_the_same_everywhere() {
        assert_eq!(HASHED.matches(token::PATTERN).count(), 2);
    }
}
