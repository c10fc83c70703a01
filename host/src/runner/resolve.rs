//! The operator's word on a step outside a transaction that a run was cut off in, and of which nothing tells what came of it.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use super::{Run, course::Course};
use crate::{
    config::Config,
    error::{Error, ExitCode, Result},
    migration::Direction,
    postgres::{
        journal::{Entry, Event},
        progress::Started,
        tables,
    },
};

/// What the operator says of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It has taken effect: it is not run again.
    Applied,
    /// It has not: it is run again.
    NotApplied,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::NotApplied => "not applied",
        })
    }
}

/// What becomes of a blocked step.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Resolution {
    /// Version and description of the migration.
    pub migration: String,
    /// `2 of 5`
    pub step: String,
    /// Its statement.
    pub statement: String,
    /// What is said of it.
    pub verdict: Verdict,
    /// The command that goes on, and what it does then.
    pub next: String,
}

/// Says what [`resolve`] would do, and changes nothing.
///
/// # Errors
/// [`Error::Refused`] when that step is not blocked.
pub async fn plan_resolve(config: &Config, run_id: Uuid, step: usize, verdict: Verdict) -> Result<Resolution> {
    let run = Run::begin(config, run_id).await?;
    Ok(Resolution::of(&run.blocked(step).await?, verdict))
}

/// Takes the operator's word for the step that a run was cut off in, and notes it in the journal.
///
/// # Errors
/// [`Error::Refused`] when that step is not blocked; nothing is changed then.
pub async fn resolve(config: &Config, run_id: Uuid, step: usize, verdict: Verdict) -> Result<Resolution> {
    let mut run = Run::begin(config, run_id).await?;
    run.locked(async |run, _| {
        let started = run.blocked(step).await?;
        if let Some(worker) = &started.worker {
            run.outlive(worker).await?;
        }
        tables::ensure(&run.session, &run.history).await?;
        let (resolution, from) = (Resolution::of(&started, verdict), &started.position);
        let to = match verdict {
            Verdict::Applied => from.after_step(),
            Verdict::NotApplied => from.not_attempted(),
        };
        let course = Course::under_way(&started);
        let (name, detail) = (course.name_of(from.steps_done), resolution.detail());
        let entry = Entry::of(Event::Resolved).migration(&started.version, started.direction);
        let entry = entry.step(&name).detail(&detail);
        let write = async || {
            run.progress.advance(&run.session, &started.version, from, &to, run.run_id).await?;
            run.journal.append(&run.session, &entry).await
        };
        run.session.durably(write).await?;
        run.config.meter.migrations_stand(ExitCode::Done);
        Ok(resolution)
    })
    .await
}

impl Run<'_> {
    /// The migration that is blocked at this step.
    async fn blocked(&self, step: usize) -> Result<Started> {
        const NEXT: &str = "`lockgate status` shows where each migration stands";
        let started = self.progress.read(&self.session).await?;
        let Some(started) = started.filter(|started| Course::under_way(started).is_blocked()) else {
            return Err(Error::Refused {
                what: "no step is blocked: there is nothing that a run could not find out by itself".into(),
                next: NEXT.into(),
            });
        };
        let blocked = started.position.steps_done + 1;
        if step != blocked {
            return Err(Error::Refused {
                what: format!("it is step {blocked} of `{}` that is blocked, not step {step}", started.name()),
                next: NEXT.into(),
            });
        }
        Ok(started)
    }
}

impl Resolution {
    fn of(started: &Started, verdict: Verdict) -> Self {
        let (course, number) = (Course::under_way(started), started.position.steps_done + 1);
        let command = match started.direction {
            Direction::Up => "lockgate up".to_owned(),
            Direction::Down => format!("lockgate down {}", started.version),
        };
        let what = match verdict {
            Verdict::NotApplied => format!("runs step {number} again"),
            Verdict::Applied if number < course.steps.len() => format!("goes on with step {}", number + 1),
            Verdict::Applied => "ends the migration, whose last step this is".to_owned(),
        };
        Self {
            migration: started.name(),
            step: course.step_of(),
            statement: course.statement(),
            verdict,
            next: format!("`{command}` {what}"),
        }
    }

    /// What the journal says of it.
    fn detail(&self) -> String {
        format!("taken as {} on the operator's word: {}", self.verdict, self.statement)
    }
}
