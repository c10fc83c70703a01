//! The journal of the restored database: what was noted since the backup is carried over, and that this is a restore is noted after it.

use uuid::Uuid;

use super::why;
use crate::{
    backup::Manifest,
    config::Config,
    error::Result,
    postgres::{
        Session, Target,
        history::History,
        journal::{Carried, Entry, Event, Journal},
        tables,
    },
};

/// Carries over what follows the restored journal's last entry in the present one, and notes the restore. Says what became of it.
///
/// # Errors
/// Why it could not be done: the restore is good without that, and the former database still has everything.
pub(super) async fn journal(
    config: &Config,
    run_id: Uuid,
    manifest: &Manifest,
    fresh: &str,
    has_present: bool,
    kept: Option<&str>,
) -> Result<String, String> {
    let target = config.target.with_database(fresh);
    let present = has_present && kept.is_some();
    match carried(config, run_id, manifest, &target, present, kept).await {
        Ok(carried) => Ok(told(carried, kept)),
        Err(error) => {
            let cause = why(&error);
            tracing::error!(cause, "the restore could not be noted in the journal");
            Err(format!("the restore could not be noted in the journal: {cause}"))
        }
    }
}

fn told(carried: Carried, kept: Option<&str>) -> String {
    match (carried, kept) {
        (Carried::Entries(0), _) | (_, None) => "the journal is that of the backup".into(),
        (Carried::Entries(1), _) => "1 entry of the journal since the backup was carried over".into(),
        (Carried::Entries(n), _) => format!("{n} entries of the journal since the backup were carried over"),
        (Carried::Parted, Some(kept)) => format!(
            "the journal is that of the backup; the former one does not go on from it and is in the kept database `{kept}`"
        ),
    }
}

async fn carried(
    config: &Config,
    run_id: Uuid,
    manifest: &Manifest,
    fresh: &Target,
    has_present: bool,
    kept: Option<&str>,
) -> Result<Carried> {
    const DOING: &str = "preparing the session";
    const SETTINGS: &str = "SET default_transaction_read_only = off; SET TimeZone = 'UTC'";
    let history = History::in_schema(&config.schema);
    let journal = Journal::new(&history, run_id);
    let session = Session::connect(fresh, "lockgate restore").await?;
    session.batch(DOING, SETTINGS).await?;
    tables::ensure(&session, &history).await?;
    let detail = match kept {
        Some(kept) => format!("from backup {}; the former database is kept as {kept}", manifest.id),
        None => format!("from backup {}", manifest.id),
    };
    let restored = Entry::of(Event::Restored).detail(&detail);
    if !has_present {
        journal.append(&session, &restored).await?;
        return Ok(Carried::Entries(0));
    }
    let present = Session::connect(&config.target, "lockgate restore").await?;
    present.batch(DOING, SETTINGS).await?;
    journal.carry_over(&present, &session, &restored).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_the_journal_is_a_sentence() {
        assert_eq!(told(Carried::Entries(1), Some("k")), "1 entry of the journal since the backup was carried over");
        assert!(told(Carried::Parted, Some("k")).ends_with("is in the kept database `k`"));
        assert_eq!(told(Carried::Entries(0), None), "the journal is that of the backup");
    }
}
