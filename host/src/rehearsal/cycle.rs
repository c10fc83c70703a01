//! One migration on the bench: up, down, compare, up again, compare.

use std::time::Instant;

use super::{
    Fault, FaultCode, Migration, Reversibility, Settings, Stage, StageName, StageOutcome, Verdict,
    bench::{Bench, Moment},
    compare,
    measure::{self, Gauge, Measured},
};
use crate::{
    error::{Error, Result},
    migration::{Direction, Version},
    runner::Pending,
};

/// What comes after a migration.
pub(super) enum Next {
    /// The bench holds it applied, and is like this.
    GoOn(Moment),
    /// Its way up works, and the bench is spoilt by something else.
    Renew,
    /// Its way up does not work: what comes after it cannot be tried.
    Stop,
}

/// Why a stage did not do what it should.
enum Trouble {
    /// The migration is to blame.
    Its(Error),
    /// The rehearsal cannot go on.
    Ours(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Interrupted { .. }
            | Error::Unreachable { .. }
            | Error::System { .. }
            | Error::Configuration { .. }
            | Error::LockHeld { .. } => Self::Ours(error),
            its => Self::Its(its),
        }
    }
}

/// A migration under rehearsal.
pub(super) struct Cycle<'b, 'c> {
    bench: &'b mut Bench<'c>,
    settings: &'b Settings,
    pending: &'b Pending,
    /// The newest version before it that is pending as well.
    before: Option<&'b Version>,
    told: Migration,
}

impl<'b, 'c> Cycle<'b, 'c> {
    pub(super) fn of(
        bench: &'b mut Bench<'c>,
        settings: &'b Settings,
        pending: &'b Pending,
        before: Option<&'b Version>,
    ) -> Self {
        let told = Migration {
            version: pending.version.clone(),
            name: pending.name.clone(),
            filename: pending.filename.clone(),
            kind: pending.kind.clone(),
            checksum: pending.checksum.clone(),
            companions: pending.companions.clone(),
            stages: Vec::new(),
            reversibility: Reversibility::NotTried,
            verdict: Verdict::OnlineSafe,
            faults: Vec::new(),
            hazards: Vec::new(),
            up: None,
            down: None,
            changes: Vec::new(),
        };
        Self { bench, settings, pending, before, told }
    }

    /// Does all of it, on a bench that is like this.
    ///
    /// # Errors
    /// Why the rehearsal cannot go on. What is wrong with the migration is in what is told.
    pub(super) async fn run(mut self, start: &Moment) -> Result<(Migration, Next)> {
        let next = self.each(start).await?;
        Ok((self.told, next))
    }

    async fn each(&mut self, start: &Moment) -> Result<Next> {
        let version = &self.pending.version;
        self.bench.ears.commits();
        if let Err(error) = self.stage(StageName::Up, async |bench| bench.up(version).await).await? {
            let next = if is_refusal(&error) { "change what is refused" } else { "mend its way up" };
            self.fault(
                FaultCode::UpFailed,
                FaultCode::UpFailed.of_error(&error),
                format!("{next}, then rehearse again"),
            );
            return Ok(Next::Stop);
        }
        let in_parts = self.bench.ears.commits() > 1;
        self.told.up = self.measured(Direction::Up);
        if let Some(measured) = &self.told.up {
            (self.told.verdict, self.told.hazards) = measure::verdict(measured, self.settings);
        }
        let after = self.bench.look_again(start).await?;
        self.told.changes = start.schema.until(&after.schema);

        let reverted = match &self.pending.irreversible {
            Some(why) => {
                self.told.reversibility = Reversibility::Irreversible(why.clone());
                self.left_out(StageName::Down, why);
                self.left_out(StageName::CompareDown, why);
                false
            }
            None => self.down(start, &after).await?,
        };
        if !reverted && !in_parts {
            self.left_out(StageName::UpAgain, "there is no way back to try it from");
            self.left_out(StageName::CompareUp, "there is no way back to try it from");
            return Ok(if self.told.faults.is_empty() { Next::GoOn(after) } else { Next::Renew });
        }
        if !reverted {
            // Where it may be cut off half-way, that is tried on another copy.
            self.bench.renew().await?;
            if let Some(before) = self.before
                && let Err(error) = self.bench.up(before).await
            {
                self.told.faults.push(Fault::of_all_together(error)?);
                return Ok(Next::Stop);
            }
        }
        let again = self.up_again(in_parts, &after).await?;
        if self.told.reversibility == Reversibility::NotTried {
            let is_faulty = !self.told.faults.is_empty();
            self.told.reversibility = if is_faulty { Reversibility::Faulty } else { Reversibility::Reversible };
        }
        Ok(match again {
            Some(again) if self.told.faults.is_empty() => Next::GoOn(again),
            _ => Next::Renew,
        })
    }

    /// The way down, and whether everything is as it was. False where the migration is still applied.
    async fn down(&mut self, start: &Moment, after: &Moment) -> Result<bool> {
        let version = &self.pending.version;
        if let Err(error) = self.stage(StageName::Down, async |bench| bench.down(version).await).await? {
            self.told.reversibility = Reversibility::Faulty;
            let advice = "mend its way down, or say that it has none: `-- lockgate: irreversible`";
            self.fault(FaultCode::DownFailed, FaultCode::DownFailed.of_error(&error), advice.into());
            self.left_out(StageName::CompareDown, "its way down fails");
            return Ok(false);
        }
        self.told.down = self.measured(Direction::Down);
        let begin = Instant::now();
        let back = self.bench.look_again(after).await?;
        let faults = compare::after_down(start, &back, &self.settings.ignore_content);
        self.compared(StageName::CompareDown, begin, faults);
        Ok(true)
    }

    /// The way up once more, cut off once where it can be, and whether it has brought about the same.
    async fn up_again(&mut self, in_parts: bool, after: &Moment) -> Result<Option<Moment>> {
        let version = &self.pending.version;
        let mut cut = false;
        let result = self.stage(StageName::UpAgain, async |bench| {
            if !in_parts {
                return bench.up(version).await;
            }
            let (stop, hand) = bench.stop().or_by_hand();
            bench.ears.cut_with(hand);
            let first = bench.up_until(stop, version).await;
            cut = bench.ears.has_cut();
            match first {
                Err(Error::Interrupted { .. }) if cut && bench.stop().asked().is_none() => bench.up(version).await,
                other => other,
            }
        });
        let result = result.await?;
        if let Err(error) = result {
            let (code, advice) = match cut {
                true => (FaultCode::NotResumable, "let each of its parts be safe to begin anew"),
                false => (FaultCode::UpNotRepeatable, "let its way down remove what its way up makes"),
            };
            self.fault(code, code.of_error(&error), advice.into());
            self.left_out(StageName::CompareUp, "its way up failed");
            return Ok(None);
        }
        if cut && let Some(stage) = self.told.stages.last_mut() {
            stage.outcome = StageOutcome::Resumed;
        }
        let again = self.measured(Direction::Up);
        let begin = Instant::now();
        let now = self.bench.look_again(after).await?;
        let mut faults = compare::after_up_again(after, &now, cut, &self.told.faults, &self.settings.ignore_content);
        if !cut && let (Some(first), Some(again)) = (&self.told.up, &again) {
            faults.extend(unsteady(first, again));
        }
        self.compared(StageName::CompareUp, begin, faults);
        Ok(Some(now))
    }

    /// Runs a stage and notes how it went.
    async fn stage(
        &mut self,
        name: StageName,
        work: impl AsyncFnOnce(&mut Bench<'c>) -> Result<()>,
    ) -> Result<Result<(), Error>> {
        let begin = Instant::now();
        let result = work(self.bench).await.map_err(Trouble::from);
        let (outcome, why) = match &result {
            Ok(()) => (StageOutcome::Passed, None),
            Err(Trouble::Its(error)) => (StageOutcome::Failed, Some(in_a_line(error))),
            Err(Trouble::Ours(_)) => (StageOutcome::Failed, None),
        };
        self.told.stages.push(Stage { name, outcome, duration_ms: ms(begin), why });
        match result {
            Ok(()) => Ok(Ok(())),
            Err(Trouble::Its(error)) => Ok(Err(error)),
            Err(Trouble::Ours(error)) => Err(error),
        }
    }

    fn compared(&mut self, name: StageName, begin: Instant, faults: Vec<Fault>) {
        let outcome = if faults.is_empty() { StageOutcome::Passed } else { StageOutcome::Failed };
        let why = faults.first().map(|fault| fault.what.clone());
        self.told.stages.push(Stage { name, outcome, duration_ms: ms(begin), why });
        self.told.faults.extend(faults);
    }

    fn left_out(&mut self, name: StageName, why: &str) {
        let why = Some(why.to_owned());
        self.told.stages.push(Stage { name, outcome: StageOutcome::LeftOut, duration_ms: 0, why });
    }

    fn fault(&mut self, code: FaultCode, what: String, advice: String) {
        self.told.faults.push(Fault { code, what, change: None, relation: None, advice });
    }

    /// What was measured of the last way of this migration.
    fn measured(&self, direction: Direction) -> Option<Measured> {
        let all = self.bench.gauge.as_ref().map(Gauge::take).unwrap_or_default();
        let is_it =
            |(version, way, _): &(Version, Direction, Measured)| *version == self.pending.version && *way == direction;
        all.into_iter().rfind(is_it).map(|(.., measured)| measured)
    }
}

impl Fault {
    /// All together failed where each by itself did not.
    ///
    /// # Errors
    /// The error itself, where no migration is to blame.
    pub(super) fn of_all_together(error: Error) -> Result<Self> {
        match Trouble::from(error) {
            Trouble::Ours(error) => Err(error),
            Trouble::Its(error) => Ok(Self {
                code: FaultCode::UpFailed,
                what: format!("all together fail where each by itself does not: {}", in_a_line(&error)),
                change: None,
                relation: None,
                advice: "look for what depends on the time between them, or on clients at work".into(),
            }),
        }
    }
}

impl FaultCode {
    /// `its way up fails: relation "a" does not exist (SQLSTATE 42P01)`
    fn of_error(self, error: &Error) -> String {
        let way = match self {
            Self::DownFailed => "its way down fails",
            Self::UpNotRepeatable => "its way up fails after its way down",
            Self::NotResumable => "its way up was cut off half-way, and could not be taken up again",
            _ => "its way up fails",
        };
        format!("{way}: {}", in_a_line(error))
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Checks { .. })
}

/// Where and why, in a line.
fn in_a_line(error: &Error) -> String {
    let report = error.report();
    let at = report.at.map(|at| format!("{at}: ")).unwrap_or_default();
    let why = if report.causes.is_empty() { report.what } else { report.causes.join("; ") };
    format!("{at}{}", why.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A component may plan as it likes, and should plan the same where everything is the same.
fn unsteady(first: &Measured, again: &Measured) -> Option<Fault> {
    let steps = |measured: &Measured| measured.steps.iter().map(|step| step.text.clone()).collect::<Vec<_>>();
    let (first, again) = (steps(first), steps(again));
    if first == again {
        return None;
    }
    let at = first.iter().zip(&again).take_while(|(a, b)| a == b).count();
    let named = |steps: &[String]| steps.get(at).map_or("nothing".to_owned(), |text| format!("`{text}`"));
    Some(Fault {
        code: FaultCode::Unsteady,
        what: format!(
            "its steps are others the second time, on the same database: step {} was {}, then {}",
            at + 1,
            named(&first),
            named(&again)
        ),
        change: None,
        relation: None,
        advice: "let it decide by what is in the database alone, not by time, chance or order".into(),
    })
}

pub(super) fn ms(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}
