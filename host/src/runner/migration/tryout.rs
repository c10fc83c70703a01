//! One migration tried within a transaction that will be rolled back, under the guards of a run.

use super::{COMMITTED_ITSELF, Passage, Stopped};
use crate::{
    error::{Cause, Error, Finding, ProgramError, Result, Stage, blocks},
    migration::Direction,
    postgres::{OwnWrites, Transaction, Watch},
    runner::{course::Course, tryout::NotTried},
    step::{Batch, PlannedStep, Step},
};

/// How far a migration could be tried.
pub(in crate::runner) struct Tried {
    /// Its steps.
    pub(in crate::runner) steps: usize,
    /// What could not be.
    pub(in crate::runner) not_tried: Option<NotTried>,
}

/// A label of an enum that was added in the same transaction cannot be used before that is committed.
const UNSAFE_NEW_ENUM_VALUE: &str = "55P04";

const UNDONE: &str = "rolled back, as all of it was to be; nothing was changed";

const LASTS_TOO_LONG: &str =
    "a step before it sets something for its own transaction only, which here would last, since there is but one";

fn not_tried(course: &Course, i: usize, why: &str) -> NotTried {
    let what = PlannedStep::of(&course.steps[i]).iter().map(PlannedStep::text).collect::<Vec<_>>().join("; ");
    NotTried { step: i + 1, what, why: why.to_owned() }
}

/// Whether a run commits between these two steps.
fn is_committed_before(step: &Step, next: &Step) -> bool {
    let shares = |step: &Step| matches!(step, Step::Sql(_) | Step::Code(_));
    !(shares(step) && shares(next))
}

/// Whether a script has what ends with its transaction: `SET LOCAL`, `SET TRANSACTION`, `SET CONSTRAINTS`, `set_config(…, true)`.
fn sets_for_its_transaction(step: &Step) -> bool {
    let (Step::Sql(script) | Step::Alone(script)) = step else { return false };
    script.statements().any(|(_, sql)| {
        let text = sql.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        ["set local ", "set transaction ", "set constraints "].iter().any(|set| text.starts_with(set))
            || (text.starts_with("do ") && text.contains("set local "))
            || (text.contains("set_config") && text.contains("true"))
    })
}

impl Passage<'_, '_> {
    /// Checks, runs and verifies the migration as far as one transaction goes. `after_others`: other migrations were run in it before.
    pub(in crate::runner) async fn tried_out(&self, after_others: bool, findings: &mut Vec<Finding>) -> Result<Tried> {
        let run = &*self.run;
        let tried = async {
            findings.extend(self.asked_before().await?);
            // Nothing is recorded in a transaction that is undone.
            let transaction = self.part_begins(false).await?;
            let course = self.planned().await?;
            let mut committed_before = after_others;
            let mut for_its_transaction = false;
            for i in 0..course.steps.len() {
                match self.try_step(&course, i, &transaction, committed_before).await? {
                    None => committed_before |= matches!(course.steps[i], Step::Alone(_) | Step::Batched(_)),
                    not_tried => return Ok(Tried { steps: course.steps.len(), not_tried }),
                }
                for_its_transaction |= sets_for_its_transaction(&course.steps[i]);
                if let Some(next) = course.steps.get(i + 1)
                    && is_committed_before(&course.steps[i], next)
                {
                    if for_its_transaction {
                        let not_tried = Some(not_tried(&course, i + 1, LASTS_TOO_LONG));
                        return Ok(Tried { steps: course.steps.len(), not_tried });
                    }
                    for_its_transaction = false;
                }
            }
            self.settle(&transaction).await?;
            findings.extend(self.verified().await?);
            let settled = run.session.settle_for_good(&transaction).await;
            settled.map_err(|error| Stopped::at("commit", error))?;
            self.check("end", &transaction, &OwnWrites::default()).await?;
            let ended = run.session.end_part(&transaction).await;
            ended.map_err(|error| Stopped::at("commit", error))?;
            Ok(Tried { steps: course.steps.len(), not_tried: None })
        };
        match run.config.stop.race(tried).await {
            Ok(Ok(tried)) => Ok(tried),
            Ok(Err(Stopped::Failed { step, error, committed })) => Err(self.failed_in_tryout(step, error, committed)),
            Ok(Err(Stopped::Refused(stage, findings))) => Err(Error::Checks { stage, findings, state: UNDONE.into() }),
            Err(signal) => Err(Error::Interrupted { signal, state: UNDONE.into() }),
        }
    }

    /// The migration's own preflight, at the place where a run makes it: before the migration, and after those before it.
    pub(super) async fn asked_before(&self) -> Result<Vec<Finding>, Stopped> {
        const STEP: &str = "preflight";
        let (run, item) = (&*self.run, self.item);
        let asked = run.session.guarded(async |db| item.program.preflight(db).await).await;
        let asked = asked.map_err(Stopped::host(STEP))?;
        run.session.check_session(run.lock).await.map_err(Stopped::broken(STEP, item))?;
        let findings = asked.map_err(|error| Stopped::at(STEP, error))?;
        let stage = || Stage::Preflight(item.version.clone());
        if blocks(&findings) { Err(Stopped::Refused(stage(), findings)) } else { Ok(findings) }
    }

    /// Begins the migration's part of the open transaction.
    pub(super) async fn part_begins(&self, shared: bool) -> Result<Transaction, Stopped> {
        let run = &*self.run;
        run.session.begin_part(&run.own_tables(), self.seal(), shared).await.map_err(Stopped::host("begin"))
    }

    /// One step, or why it cannot be tried.
    async fn try_step(
        &self,
        course: &Course,
        i: usize,
        transaction: &Transaction,
        committed_before: bool,
    ) -> Result<Option<NotTried>, Stopped> {
        let not_tried = |why: &str| Some(not_tried(course, i, why));
        match &course.steps[i] {
            Step::OutsideTransaction(_) => Ok(not_tried("it commits by itself, outside a transaction")),
            Step::Batched(name) => {
                let step = course.name_of(i);
                let handle = self.run.session.handle();
                let batch = self.item.program.run_batch(Direction::Up, name, None, None, handle).await;
                let batch = batch.map_err(|error| Stopped::at(&step, error))?;
                self.settle(transaction).await?;
                self.check(&step, transaction, &OwnWrites::default()).await?;
                match batch {
                    Batch::Finished => Ok(None),
                    Batch::More { done, total, .. } => {
                        let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
                        Ok(not_tried(&format!(
                            "its first batch was tried ({done}{of}); each further one begins after the commit of the one before"
                        )))
                    }
                }
            }
            Step::Sql(_) | Step::Alone(_) | Step::Code(_) => match self.step(course, i, transaction).await {
                Err(Stopped::Failed { error: ProgramError { cause: Cause::Database(error), .. }, .. })
                    if committed_before && error.is(UNSAFE_NEW_ENUM_VALUE) =>
                {
                    Ok(not_tried(
                        "it uses a label of an enum that a step before it adds, which only its commit makes usable",
                    ))
                }
                Err(stopped) => Err(stopped),
                Ok(()) if matches!(course.steps[i], Step::Alone(_)) => {
                    // It would be committed here, with what it has put off.
                    self.settle(transaction).await?;
                    Ok(None)
                }
                Ok(()) => Ok(None),
            },
        }
    }

    fn failed_in_tryout(&self, step: Option<String>, mut error: ProgramError, committed: bool) -> Error {
        if let Cause::Database(error) = &mut error.cause
            && error.is("55P03")
            && let Some(blocker) = self.run.watch.as_ref().and_then(Watch::blocker)
        {
            error.message = format!("{}: the lock is held by {blocker}", error.message);
        }
        let state = if committed { COMMITTED_ITSELF } else { UNDONE }.to_owned();
        Error::Migration { name: self.item.name.clone(), direction: Direction::Up, step, error: Box::new(error), state }
    }
}
