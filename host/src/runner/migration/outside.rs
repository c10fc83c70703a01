//! A statement that PostgreSQL refuses inside a transaction.

use std::time::Instant;

use super::{Passage, Worked};
use crate::{
    error::{Finding, ProgramError, Result, Severity},
    postgres::{Broken, Handle, journal::Event, progress::Position},
    runner::course::Course,
    step::OutsideStep,
    value::Value,
};

impl Passage<'_, '_> {
    /// A statement that PostgreSQL refuses inside a transaction: its intent is noted first, and its probe tells what came of it.
    pub(super) async fn outside(
        &self,
        course: &Course,
        step: &OutsideStep,
        findings: &mut Vec<Finding>,
    ) -> Result<Worked> {
        let name = course.name_of(course.position.steps_done);
        let begin = Instant::now();
        let mut course = course.clone();
        if self.took_effect(&course, &name, step).await? {
            let how = if course.position.attempted {
                "it had taken effect when the run was cut off"
            } else {
                "it is in effect already"
            };
            tracing::info!(migration = self.item.name, step = name, "{how}");
            if !course.position.attempted {
                let message = format!("step {name} of `{}` was left out: {how}", self.item.name);
                findings.push(Finding::new(Severity::Info, "already-in-effect", message));
            }
        } else {
            let intent = Position { attempted: true, ..course.position.clone() };
            course = self.moved(&course, intent).await?;
            self.execute_outside(&course, &name, step).await?;
            if !self.took_effect(&course, &name, step).await? {
                let what = "its statement was carried out, but its probe says that it has not taken effect";
                return Err(self
                    .failed(Some(name), ProgramError::plugin(what), false, &self.left(Some(&course)))
                    .await);
            }
        }
        let took = course.position.took + begin.elapsed();
        course = self.moved(&course, Position { took, ..course.position.after_step() }).await?;
        let entry = self.entry(Event::StepFinished).took(begin.elapsed());
        self.run.journal.append(&self.run.session, &entry.step(&name)).await?;
        Ok(Worked { course, ended: None })
    }

    async fn execute_outside(&self, course: &Course, name: &str, step: &OutsideStep) -> Result<()> {
        let run = &*self.run;
        let own = run.session.own_state(&run.own_tables()).await?;
        let executed = self.within_patience(run.session.outside(run.timeouts(self.item), &step.statement));
        let executed = run.config.stop.race(executed).await;
        let result = match executed {
            Ok(result) => result,
            Err(signal) => {
                self.roll_back().await;
                return Err(self.interrupted(signal, &self.left(Some(course))).await);
            }
        };
        let step = Some(name.to_owned());
        if let Err(error) = result {
            return Err(self.failed(step, error, false, &self.left(Some(course))).await);
        }
        let broken = match run.session.check_session(run.lock).await {
            Err(broken) => broken,
            Ok(()) if run.session.own_state(&run.own_tables()).await? != own => Broken::Own,
            Ok(()) => return Ok(()),
        };
        let error = ProgramError { at: None, cause: self.item.fault(broken.what()) };
        Err(self.failed(step, error, true, "").await)
    }

    /// What the probe of a step says.
    async fn took_effect(&self, course: &Course, name: &str, step: &OutsideStep) -> Result<bool> {
        let run = &*self.run;
        let ask = async |db: &Handle| run.config.stop.race(db.query(&step.probe, &[])).await;
        let rows = match run.session.read_only(run.timeouts(self.item), ask).await? {
            Ok(Ok(rows)) => rows.rows,
            Ok(Err(error)) => {
                return Err(self
                    .failed(Some(format!("{name}, its probe")), error.into(), false, &self.left(Some(course)))
                    .await);
            }
            Err(signal) => return Err(self.interrupted(signal, &self.left(Some(course))).await),
        };
        match rows.as_slice() {
            [row] if let [Value::Bool(answer)] = row.as_slice() => Ok(*answer),
            _ => {
                let error = ProgramError::plugin("its probe must return one boolean");
                Err(self.failed(Some(format!("{name}, its probe")), error, false, &self.left(Some(course))).await)
            }
        }
    }

    /// Moves the migration on in a transaction of its own.
    async fn moved(&self, course: &Course, to: Position) -> Result<Course> {
        let run = &*self.run;
        run.progress.advance(&run.session, &self.item.version, &course.position, &to, run.run_id).await?;
        Ok(Course { position: to, ..course.clone() })
    }
}
