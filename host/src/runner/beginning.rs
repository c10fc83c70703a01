//! The beginning of a command: the folder is read while the server is asked what it has. What has nothing to do ends here, with the one question
//! and without a session that is prepared for work.

use std::time::Instant;

use uuid::Uuid;

use super::{Outcome, Run, Status, StatusRow, Underway, short, standing};
use crate::{
    config::Config,
    error::Result,
    migration::{Direction, Version},
    plan::{self, State},
    postgres::{
        Glimpse, Look, Opening, Own,
        history::{Applied, History},
        journal::{FailedAttempt, Journal},
        progress::{Progress, Started},
    },
    source::{self, Folder},
};

/// A command that has connected and seen something.
pub(super) struct Beginning<'a, Seen> {
    config: &'a Config,
    run_id: Uuid,
    started: Instant,
    opening: Opening,
    /// None where it must be asked for one by one.
    seen: Option<Seen>,
}

impl<'a, Seen> Beginning<'a, Seen> {
    /// Reads the folder while it connects and sees. What is wrong with the folder is told first, whatever becomes of the connection.
    async fn beside_reading(
        config: &'a Config,
        run_id: Uuid,
        see: impl AsyncFnOnce(&Own<'_>, &str) -> Result<(Opening, Option<Seen>)>,
    ) -> Result<(Folder, Self)> {
        let (dir, layout, own) = (config.dir.clone(), config.layout.clone(), config.own_folders());
        let span = tracing::Span::current();
        let reading = move || span.in_scope(|| source::read(&dir, layout.as_deref(), &own));
        let reading = async {
            tokio::task::spawn_blocking(reading)
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        };
        let (started, tables) = (Instant::now(), Tables::of(config, run_id));
        // Without an end of its own: a folder that cannot be read ends it.
        let seeing = async { Ok(see(&tables.own(), &name(run_id)).await) };
        let (folder, seen) = tokio::try_join!(reading, seeing)?;
        let (opening, seen) = seen?;
        Ok((folder, Self { config, run_id, started, opening, seen }))
    }
}

impl<'a> Beginning<'a, Glimpse> {
    /// Reads the folder, and sees whether anything has changed in it.
    pub(super) async fn with_a_glimpse(config: &'a Config, run_id: Uuid) -> Result<(Folder, Self)> {
        Self::beside_reading(config, run_id, async |own, name| own.glimpse(&config.target, name).await).await
    }

    /// What `up` comes to where there is nothing to do; `None` where there may be, or more is to be told of the server.
    pub(super) fn nothing_pending(&self, folder: &Folder, to: Option<&Version>) -> Option<Outcome> {
        let Self { config, run_id, started, .. } = self;
        let glimpse = self.seen.as_ref()?;
        let migrations = &folder.migrations;
        let unchanged = glimpse.is_all(migrations.iter().map(|m| (&m.version, &m.checksum)));
        let at_rest = unchanged && folder.problems_beside(|version| folder.find(version).is_some()).is_empty();
        if !at_rest || to.is_some() || config.events.are_taken() {
            return None;
        }
        config.meter.pending(0);
        let version = migrations.iter().map(|m| &m.version).filter(|version| !version.is_repeatable()).max().cloned();
        let head = Some(glimpse.journal_head.clone());
        Some(Outcome::of_nothing(*run_id, Direction::Up, version, head, *started))
    }

    /// The run, for which the session is prepared now, and all is looked at.
    pub(super) async fn run(self) -> Result<Run<'a>> {
        let tables = Tables::of(self.config, self.run_id);
        let (session, looked) = tables.own().look_while_preparing(self.opening).await?;
        Ok(Run { looked, ..Run::of(self.config, self.run_id, session, self.started) })
    }
}

impl<'a> Beginning<'a, Look> {
    /// Reads the folder, and looks at all that there is.
    pub(super) async fn with_a_look(config: &'a Config, run_id: Uuid) -> Result<(Folder, Self)> {
        Self::beside_reading(config, run_id, async |own, name| own.look(&config.target, name).await).await
    }

    /// The state of every migration, where the look tells all of it.
    pub(super) fn status(&self, folder: &Folder) -> Option<Status> {
        let Look { applied, is_under_way, failures } = self.seen.as_ref()?;
        if *is_under_way || self.config.events.are_taken() || plan::Rows::of(applied).any_other_than(&folder.migrations)
        {
            return None;
        }
        Some(status_of(self.config, folder, applied, None, failures))
    }

    /// The run, for which the session is prepared now.
    pub(super) async fn run(self) -> Result<Run<'a>> {
        let session = self.opening.session().await?;
        Ok(Run { looked: self.seen, ..Run::of(self.config, self.run_id, session, self.started) })
    }
}

/// The host's own tables.
struct Tables(History, Journal, Progress);

impl Tables {
    fn of(config: &Config, run_id: Uuid) -> Self {
        let history = History::in_schema(&config.schema);
        let (journal, progress) = (Journal::new(&history, run_id), Progress::new(&history));
        Self(history, journal, progress)
    }

    fn own(&self) -> Own<'_> {
        Own { history: &self.0, journal: &self.1, progress: &self.2 }
    }
}

/// As what the session is known to the server.
pub(super) fn name(run_id: Uuid) -> String {
    format!("lockgate {}", short(run_id))
}

/// What `status` tells.
pub(super) fn status_of(
    config: &Config,
    folder: &Folder,
    applied: &[Applied],
    started: Option<&Started>,
    failures: &[(Version, FailedAttempt)],
) -> Status {
    let rows = plan::states(folder, applied, config.rules).into_iter().filter_map(|(state, migration, row)| {
        let (version, description, kind) = match (migration, row) {
            (_, Some(row)) => (row.version.clone(), row.description.clone(), row.kind.clone()),
            (Some(m), None) => (m.version.clone(), m.description.clone(), m.kind.as_str().to_owned()),
            (None, None) => return None,
        };
        let underway = started.filter(|started| started.version == version).map(Underway::of);
        let state = if underway.is_some() { State::Started } else { state };
        // What is applied has not failed in the end.
        let failed = failures.iter().find(|(of, _)| *of == version && matches!(state, State::Pending | State::Started));
        let (failure, applied) = (failed.map(|(_, failure)| failure.clone()), row.cloned());
        Some(StatusRow { version, description, kind, state, progress: underway, failure, applied })
    });
    let migrations = rows.collect();
    let mut problems = standing(folder, applied);
    let of_the_history = plan::Rows::of(applied);
    for migration in &folder.migrations {
        // What is applied is as it is.
        if plan::is_pending(migration, &of_the_history, config.rules) {
            problems.extend_from_slice(migration.problems());
        }
    }
    Status { database: config.target.database.clone(), migrations, problems }
}
