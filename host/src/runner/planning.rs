//! What a run would do: the steps of each migration, the transactions that they share, and the locks that their statements take.

use std::collections::BTreeMap;

use super::{Run, course::Course, not_planned, work::Work};
use crate::{
    error::{Error, Finding, NOTHING_CHANGED, Result, Severity, Stage},
    lint::{self, Asked, Level, Rule, Subject},
    locks::{self, Locks, Names, Placed, Relations},
    migration::{Direction, Version},
    runner::outcome::{Plan, Planned, PlannedLock, PlannedStatement, PlannedStep},
    source::{Folder, Migration},
    step::Step,
};

/// A migration of a plan before the database was asked about its relations: each statement with its locks.
struct Drawn<'a> {
    item: &'a Work,
    course: Option<Course>,
    statements: Vec<(PlannedStep, Option<usize>, Locks)>,
}

impl Run<'_> {
    /// Says what would be done with this work, and changes nothing.
    pub(super) async fn plan(&self, direction: Direction, folder: &Folder, work: &[Work]) -> Result<Plan> {
        let backup = self.config.backup.enabled;
        let mut findings = if work.is_empty() { Vec::new() } else { self.host_findings(work, backup).await? };
        let mut drawn = Vec::new();
        for (i, item) in work.iter().enumerate() {
            if i == 0 && direction == Direction::Up && item.started.is_none() {
                let timeouts = self.timeouts(item, direction);
                let asked = self.session.read_only(timeouts, async |db| item.program.preflight(db).await).await?;
                findings.extend(asked.map_err(|error| not_planned(item, direction, error))?);
            }
            let course = self.course_of(direction, item, i == 0).await?;
            let statements = course.as_ref().map(statements).unwrap_or_default();
            drawn.push(Drawn { item, course, statements });
        }
        let asked = self.asked();
        let subjects = if direction == Direction::Up { subjects(folder, work, asked) } else { Vec::new() };
        // One question for the relations of all statements, whoever wants to know.
        let of_steps = drawn.iter().flat_map(|drawn| &drawn.statements).map(|(_, _, locks)| locks);
        let relations = Relations::read(&self.session, of_steps.chain(lint::locks(&subjects))).await?;
        let lint = (direction == Direction::Up).then(|| lint::check(&subjects, asked, Some(&relations)));
        let migrations = drawn.into_iter().map(|drawn| drawn.placed(&relations)).collect();
        Ok(Plan { direction, migrations, backup, findings, lint })
    }

    /// The steps of a migration; `None` where they can only be known when the migrations before it have run.
    pub(super) async fn course_of(&self, direction: Direction, item: &Work, first: bool) -> Result<Option<Course>> {
        match &item.started {
            // What a run has begun follows the plan that it made then.
            Some(started) if started.direction == direction => return Ok(Some(Course::under_way(started))),
            _ => {}
        }
        let timeouts = self.timeouts(item, direction);
        match self.session.read_only(timeouts, async |db| item.program.plan(direction, db).await).await? {
            Ok(steps) => Ok(Some(Course::of(steps))),
            Err(_) if !first => Ok(None),
            Err(error) => Err(not_planned(item, direction, error)),
        }
    }

    /// Asks the rules about what is to be applied, and stops the run on what the configuration calls an error.
    pub(super) async fn lint(&self, folder: &Folder, work: &[Work]) -> Result<Vec<Finding>> {
        let subjects = subjects(folder, work, self.asked());
        let relations = Relations::read(&self.session, lint::locks(&subjects)).await?;
        let report = lint::check(&subjects, self.asked(), Some(&relations));
        if report.errors > 0 {
            let errors = report.findings.iter().filter(|finding| finding.level == Level::Error);
            let findings = errors.map(lint::Finding::of_a_run).collect();
            return Err(Error::Checks { stage: Stage::Lint, findings, state: NOTHING_CHANGED.into() });
        }
        // What is known of this very database is told by itself; of the rest that there is something.
        let here = |finding: &&lint::Finding| finding.rule == Rule::BlockingLock;
        let mut findings: Vec<Finding> = report.findings.iter().filter(here).map(lint::Finding::of_a_run).collect();
        let others = report.findings.len() - findings.len();
        if others > 0 {
            let message = match others {
                1 => "there is one warning about what is pending".to_owned(),
                n => format!("there are {n} warnings about what is pending"),
            };
            findings.push(Finding::new(Severity::Info, "lint", message).hint("`lockgate plan` tells them"));
        }
        Ok(findings)
    }

    fn asked(&self) -> Asked<'_> {
        Asked::of(Some(self.session.server.major()), &self.config.lint)
    }
}

/// The SQL of what is to be applied. What an earlier run has begun must go on as it is, whatever anybody thinks of it.
fn subjects(folder: &Folder, work: &[Work], asked: Asked<'_>) -> Vec<Subject> {
    let by_version: BTreeMap<&Version, &Migration> =
        folder.migrations.iter().map(|migration| (&migration.version, migration)).collect();
    let fresh = work.iter().filter(|item| item.started.is_none());
    let migrations: Vec<&Migration> = fresh.filter_map(|item| by_version.get(&item.version).copied()).collect();
    Subject::of_all(&migrations, asked)
}

/// The statements of all steps, each with the number of its transaction and its locks.
fn statements(course: &Course) -> Vec<(PlannedStep, Option<usize>, Locks)> {
    let (mut transaction, mut open) = (0, false);
    let (mut statements, mut names) = (Vec::new(), Names::default());
    for step in &course.steps {
        let shares = matches!(step, Step::Sql(_) | Step::Code(_));
        let in_one = shares || matches!(step, Step::Alone(_));
        if in_one && !(open && shares) {
            transaction += 1;
        }
        open = shares;
        let number = in_one.then_some(transaction);
        let mut of = |sql: &str| {
            let parsed = locks::parse(sql);
            names.follow(&parsed, Locks::of_parsed(&parsed), number)
        };
        let locks: Vec<Locks> = match step {
            Step::Sql(script) | Step::Alone(script) => script.statements().map(|(_, sql)| of(sql)).collect(),
            Step::OutsideTransaction(step) => step.statement.statements().map(|(_, sql)| of(sql)).collect(),
            Step::Code(_) | Step::Batched(_) => Vec::new(),
        };
        let of_code = || Locks { unknown: Some("its code decides when it runs"), ..Locks::default() };
        for (i, line) in PlannedStep::of(step).into_iter().enumerate() {
            statements.push((line, number, locks.get(i).cloned().unwrap_or_else(of_code)));
        }
    }
    statements
}

impl Drawn<'_> {
    fn placed(self, relations: &Relations) -> Planned {
        let Drawn { item, course, statements } = self;
        let of_statement = |(step, transaction, locks): (PlannedStep, Option<usize>, Locks)| PlannedStatement {
            step,
            transaction,
            locks: relations.place(&locks).into_iter().map(planned_lock).collect(),
            locks_unknown: locks.unknown.or_else(|| relations.doubt(&locks)),
        };
        Planned {
            version: item.version.clone(),
            name: item.name.clone(),
            kind: item.kind.clone(),
            atomic: course.as_ref().is_none_or(Course::is_atomic),
            goes_on_at: course.as_ref().filter(|course| course.stored).map(Course::step_of),
            steps: course.map(|_| statements.into_iter().map(of_statement).collect()),
        }
    }
}

fn planned_lock(placed: Placed) -> PlannedLock {
    let Placed { lock, table } = placed;
    PlannedLock {
        relation: table.as_ref().map_or_else(|| lock.relation.clone(), |table| table.relation()).to_string(),
        mode: lock.mode,
        blocks: lock.mode.blocks(),
        work: lock.work,
        exists: table.is_some(),
        bytes: table.as_ref().map(|table| table.bytes),
        rows: table.and_then(|table| table.rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sql::{Origin, Script},
        step::OutsideStep,
    };

    #[test]
    fn statements_are_numbered_by_the_transactions_that_they_share() {
        let script = |sql: &str| Script::parse(sql, Origin::Plugin).unwrap();
        let outside = OutsideStep { statement: script("VACUUM t"), probe: None };
        let course = Course::of(vec![
            Step::Sql(script("SELECT 1; SELECT 2")),
            Step::Code("c".into()),
            Step::OutsideTransaction(outside),
            Step::Sql(script("SELECT 3")),
            Step::Alone(script("SELECT 4")),
            Step::Batched("b".into()),
            Step::Code("d".into()),
        ]);
        let numbers: Vec<Option<usize>> = statements(&course).iter().map(|(_, number, _)| *number).collect();
        assert_eq!(numbers, [Some(1), Some(1), Some(1), None, Some(2), Some(3), None, Some(4)]);
        let known: Vec<bool> = statements(&course).iter().map(|(.., locks)| locks.unknown.is_none()).collect();
        assert_eq!(known, [true, true, false, true, true, true, false, false]);
    }
}
