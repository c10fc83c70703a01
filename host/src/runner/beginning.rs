//! The beginning of a command: the folder is read while the server is asked what it has. What has nothing to do ends here, with the one question
//! and without a session that is prepared for work.

use std::time::Instant;

use uuid::Uuid;

use super::{Outcome, Run, Status, StatusRow, Underway, count_pending, short, standing, tell_missing};
use crate::{
    config::Config,
    error::Result,
    migration::{Direction, Version},
    plan::{self, State},
    postgres::{
        Asking, Look, Noted, Opening,
        history::{Applied, History},
        journal::{FailedAttempt, Journal},
        progress::{Progress, Started},
    },
    source::{self, Folder},
};

/// A command that has connected and looked.
pub(super) struct Beginning<'a> {
    config: &'a Config,
    run_id: Uuid,
    started: Instant,
    opening: Opening,
    /// None where it must be asked for one by one.
    look: Option<Look>,
}

impl<'a> Beginning<'a> {
    /// Reads the folder and looks at the database at the same time. What is wrong with the folder is told first, whatever becomes of the connection.
    pub(super) async fn beside_reading(config: &'a Config, run_id: Uuid, asking: Asking) -> Result<(Folder, Self)> {
        let (dir, layout, span) = (config.dir.clone(), config.layout.clone(), tracing::Span::current());
        let reading = move || span.in_scope(|| source::read(&dir, layout.as_deref()));
        let reading = async {
            tokio::task::spawn_blocking(reading)
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        };
        // Without an end of its own: a folder that cannot be read ends it.
        let looking = async { Ok(Self::with_a_look(config, run_id, asking).await) };
        let (folder, beginning) = tokio::try_join!(reading, looking)?;
        Ok((folder, beginning?))
    }

    async fn with_a_look(config: &'a Config, run_id: Uuid, asking: Asking) -> Result<Self> {
        let started = Instant::now();
        let history = History::in_schema(&config.schema);
        let (journal, progress) = (Journal::new(&history, run_id), Progress::new(&history));
        let name = format!("lockgate {}", short(run_id));
        let (opening, look) = Look::at(&config.target, &name, &history, &journal, &progress, asking).await?;
        Ok(Self { config, run_id, started, opening, look })
    }

    /// The run, for which the session is prepared now.
    pub(super) async fn run(self) -> Result<Run<'a>> {
        let session = self.opening.session().await?;
        Ok(Run { looked: self.look, ..Run::of(self.config, self.run_id, session, self.started) })
    }

    /// What `up` comes to, where the look tells that there is nothing to do; `None` where there may be, or more is to be told of the server.
    pub(super) fn nothing_pending(&self, folder: &Folder, to: Option<&Version>) -> Option<Outcome> {
        let Self { config, run_id, started, .. } = self;
        let look = self.look.as_ref()?;
        let Noted::Head(head @ Some(_)) = &look.noted else { return None };
        if config.events.are_taken() || !look.is_at_rest(config, folder, to) {
            return None;
        }
        tell_missing(config, folder, &look.applied);
        count_pending(config, folder, &look.applied);
        let version = plan::newest(&look.applied).cloned();
        Some(Outcome::of_nothing(*run_id, Direction::Up, version, head.clone(), *started))
    }

    /// The state of every migration, where the look tells all of it.
    pub(super) fn status(&self, folder: &Folder) -> Option<Status> {
        let look = self.look.as_ref().filter(|look| !look.is_under_way)?;
        let Noted::Failures(failures) = &look.noted else { return None };
        let rows = plan::Rows::of(&look.applied);
        if self.config.events.are_taken() || rows.any_other_than(&folder.migrations) {
            return None;
        }
        Some(status_of(self.config, folder, &look.applied, None, failures))
    }
}

impl Look {
    /// Whether nothing of the folder is pending, under way or wrong.
    pub(super) fn is_at_rest(&self, config: &Config, folder: &Folder, to: Option<&Version>) -> bool {
        let pending = plan::up(&folder.migrations, &self.applied, to, config.rules);
        !self.is_under_way
            && standing(folder, &self.applied).is_empty()
            && pending.is_ok_and(|pending| pending.is_empty())
    }
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
