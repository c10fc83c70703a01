//! The operator's wish that nothing more of a migration be done for now. The run that is at it finds it in the progress, and waits.

use serde::Serialize;
use uuid::Uuid;

use super::{Run, course::Course};
use crate::{
    config::Config,
    error::{Error, Result},
    postgres::{
        journal::{Entry, Event},
        progress::Started,
        tables,
    },
};

/// A pause, or its end.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Pause {
    /// Version and description of the migration.
    pub migration: String,
    /// `2 of 5`: the step that was next, or under way.
    pub step: String,
    /// Whether it is paused now.
    pub paused: bool,
}

/// Pauses the migration of several transactions that is under way, or ends its pause, and notes that in the journal. The lock is not
/// needed: the run that is at it holds it.
///
/// # Errors
/// [`Error::Refused`] when none is under way, or when that is so already; nothing is changed then.
pub async fn pause(config: &Config, run_id: Uuid, paused: bool) -> Result<Pause> {
    let run = Run::begin(config, run_id).await?;
    let started = run.progress.read(&run.session).await?;
    let Some(started) = started else {
        return Err(Error::Refused {
            what: "no migration of several transactions is under way".into(),
            next: "a migration of one transaction is stopped (SIGTERM), and is rolled back then".into(),
        });
    };
    if tables::lack_something(&run.session, &run.history).await? {
        return Err(Error::Refused {
            what: format!("`{}` was begun by an older version of Lockgate, which knows no pause", started.name()),
            next: "stop its run (SIGTERM): the batches that are committed stay, and the next run goes on there".into(),
        });
    }
    if started.paused.is_some() == paused {
        return Err(run.so_already(&started));
    }
    let who = run.journal.who();
    let entry = Entry::of(if paused { Event::Paused } else { Event::Unpaused });
    let step = Course::under_way(&started).step_of();
    let at = format!("at step {step}");
    let entry = entry.migration(&started.version, started.direction).detail(&at);
    // The run writes to the two tables in the same order, so that neither waits for the other for ever.
    let write = async || {
        let changed = run.progress.pause(&run.session, &started.version, paused.then_some(who.as_str())).await?;
        if changed {
            run.journal.append(&run.session, &entry).await?;
        }
        Ok(changed)
    };
    if run.session.durably(write).await? {
        return Ok(Pause { migration: started.name(), step, paused });
    }
    match run.progress.read(&run.session).await? {
        Some(now) if now.version == started.version => Err(run.so_already(&now)),
        _ => Err(Error::Refused {
            what: format!("`{}` has ended meanwhile", started.name()),
            next: "`lockgate status` shows where each migration stands".into(),
        }),
    }
}

impl Run<'_> {
    fn so_already(&self, started: &Started) -> Error {
        let name = started.name();
        match &started.paused {
            Some(paused) => Error::Refused {
                what: format!("`{name}` is paused already, by {} at {}", paused.by, paused.at),
                next: "`lockgate pause --off` ends the pause".into(),
            },
            None => Error::Refused {
                what: format!("`{name}` is not paused"),
                next: "`lockgate status` shows where each migration stands".into(),
            },
        }
    }

    /// Refuses to begin with what is paused: a run that is at it waits, but one that comes new would only keep a pipeline waiting.
    pub(super) fn refuse_paused(&self, started: Option<&Started>) -> Result<()> {
        let Some((started, paused)) = started.and_then(|started| Some((started, started.paused.as_ref()?))) else {
            return Ok(());
        };
        Err(Error::Refused {
            what: format!("migration `{}` is paused, by {} at {}", started.name(), paused.by, paused.at),
            next: "`lockgate pause --off`, then run the same command again".into(),
        })
    }
}
