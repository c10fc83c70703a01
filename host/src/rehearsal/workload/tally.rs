//! What clients felt, phase by phase.
//!
//! A client that waits sends nothing meanwhile: one that hangs on a lock for a minute would leave one long statement beside thousands of
//! quick ones, and 95 of 100 would look quick ("coordinated omission", Gil Tene, "How NOT to Measure Latency", 2015). So a statement that
//! takes longer than it usually does is followed by those that its client would have sent meanwhile, each with the time that it would
//! still have waited, as HdrHistogram's `recordValueWithExpectedInterval` does. They count for the percentiles only, each in the phase in
//! which it would have begun; what was really done and failed is told as it was.

use std::time::{Duration, Instant, SystemTime};

use super::phase::Phase;
use crate::{printable::printable_in, rehearsal::Felt};

/// What is told of a statement.
const STATEMENT_CHARS_MAX: usize = 60;
/// So many that would have been sent are added at most for one statement: a day of waiting at ten milliseconds each has more.
const OMITTED_MAX: u32 = 100_000;

/// The name of the phase before the first migration.
pub(super) const BEFORE: &str = "before";

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End<'a> {
    /// As it should.
    Done,
    /// In an error; its time counts as the longest at most, for an error that comes at once is no quick service.
    Failed(&'a str),
    /// Not at all so far.
    Unfinished,
}

/// Counts what happens in each phase.
pub(super) struct Tally {
    began: Instant,
    /// The same moment by the clock that other programs go by.
    began_by_clock: SystemTime,
    /// How long a client pauses between two statements.
    pause: Duration,
    /// The statements, in their first words.
    statements: Vec<String>,
    /// How long each took before the first migration.
    usual: Vec<Usual>,
    phases: Vec<Phase>,
    /// When the last phase ended, once it has.
    end: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Usual {
    total: Duration,
    times: u32,
}

impl Usual {
    fn mean(self) -> Option<Duration> {
        (self.times > 0).then(|| self.total / self.times)
    }
}

impl Tally {
    /// Begins the first phase.
    pub(super) fn new(statements: &[&str], pause: Duration) -> Self {
        Self {
            began: Instant::now(),
            began_by_clock: SystemTime::now(),
            pause,
            statements: statements.iter().map(|sql| first_words(sql)).collect(),
            usual: vec![Usual::default(); statements.len()],
            phases: vec![Phase::new(BEFORE, Duration::ZERO)],
            end: None,
        }
    }

    /// The time since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The same of a moment by the system's clock.
    pub(super) fn at(&self, clock: SystemTime) -> Duration {
        clock.duration_since(self.began_by_clock).unwrap_or_default()
    }

    /// Begins another phase.
    pub(super) fn phase(&mut self, name: &str) {
        let now = self.now();
        self.phases.push(Phase::new(name, now));
    }

    /// Ends the last phase. What has begun by then may still come to its end.
    pub(super) fn end(&mut self) {
        self.end = Some(self.now());
    }

    /// The statement that fails most often in the first phase and has never ended well there, and what the server says.
    pub(super) fn never_worked(&self) -> Option<(String, String)> {
        let before = self.phases.first()?;
        let worked = |words: &String| {
            self.statements.iter().zip(&self.usual).any(|(statement, usual)| statement == words && usual.times > 0)
        };
        // What has no number, such as a connection or a part of a script, says nothing of a statement.
        let known = |words: &String| self.statements.contains(words);
        let failed = before.errors.iter().filter(|((_, words), _)| known(words) && !worked(words));
        let ((message, words), _) = failed.max_by_key(|(_, times)| **times)?;
        Some((words.clone(), message.clone()))
    }

    /// The phase that it is in, and for how long.
    pub(super) fn present(&self) -> (&str, Duration) {
        let phase = self.phases.last();
        phase.map_or((BEFORE, Duration::ZERO), |phase| (phase.name.as_str(), self.now().saturating_sub(phase.began)))
    }

    /// Counts a statement, by its number, that began at this time and took so long.
    pub(super) fn ended(&mut self, statement: usize, began: Duration, took: Duration, end: End<'_>) {
        let of = self.phase_at(began);
        let words = self.statements.get(statement).cloned().unwrap_or_default();
        let phase = &mut self.phases[of];
        match end {
            End::Done => {
                phase.done += 1;
                phase.latencies.record(took);
                if of == 0
                    && let Some(usual) = self.usual.get_mut(statement)
                {
                    usual.total += took;
                    usual.times += 1;
                }
            }
            End::Unfinished => {
                phase.fail("not finished when the clients were stopped", &words);
                phase.latencies.record(took);
            }
            End::Failed(message) => {
                phase.fail(message, &words);
                phase.latencies.stretch(took);
                return;
            }
        }
        self.add_omitted(statement, began, took);
    }

    /// Counts something that failed and was no statement, such as a connection.
    pub(super) fn failed(&mut self, at: Duration, what: &str, message: &str) {
        let of = self.phase_at(at);
        self.phases[of].fail(message, what);
    }

    /// Adds what the client would have sent while it waited for longer than usual.
    fn add_omitted(&mut self, statement: usize, began: Duration, took: Duration) {
        let all = self.usual.iter().fold(Usual::default(), |all, usual| Usual {
            total: all.total + usual.total,
            times: all.times + usual.times,
        });
        // What nobody knows from before is compared with all others; without any there is nothing to compare with.
        let Some(mean) = all.mean() else { return };
        let usual = self.usual.get(statement).and_then(|usual| usual.mean()).unwrap_or(mean);
        let interval = self.pause + mean;
        if interval.is_zero() {
            return;
        }
        let waited = took.saturating_sub(usual);
        for n in 1..=OMITTED_MAX {
            let passed = interval * n;
            if passed >= waited {
                break;
            }
            let of = self.phase_at(began + passed);
            self.phases[of].latencies.record(waited - passed + mean);
        }
    }

    fn phase_at(&self, at: Duration) -> usize {
        self.phases.partition_point(|phase| phase.began <= at).saturating_sub(1)
    }

    /// What was felt in each phase.
    pub(super) fn felt(&self) -> Vec<Felt> {
        let end = self.end.unwrap_or_else(|| self.now());
        let ends = self.phases.iter().skip(1).map(|phase| phase.began).chain([end]);
        self.phases.iter().zip(ends).map(|(phase, end)| phase.felt(end)).collect()
    }
}

/// A statement in its first words, in one line.
pub(super) fn first_words(sql: &str) -> String {
    // No more of it is looked at than is shown: a statement may have megabytes.
    let begin: String = sql.chars().take(STATEMENT_CHARS_MAX * 4).collect();
    let line = begin.split_whitespace().collect::<Vec<_>>().join(" ");
    printable_in(STATEMENT_CHARS_MAX, &line)
}

#[cfg(test)]
mod tests {
    use super::{super::phase::ERRORS_MAX, *};
    use crate::rehearsal::FeltError;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A tally whose phases begin at given times.
    fn tally(phases: &[(&str, u64)]) -> Tally {
        let mut tally = Tally::new(&["SELECT\n  1"], ms(10));
        tally.phases.extend(phases.iter().map(|(name, began)| Phase::new(name, ms(*began))));
        tally
    }

    #[test]
    fn a_statement_belongs_to_the_phase_in_which_it_began() {
        let mut tally = tally(&[("001", 1_000), ("after", 2_000)]);
        tally.ended(0, ms(999), ms(5), End::Done);
        tally.ended(0, ms(1_000), ms(1_500), End::Failed("no"));
        let felt = tally.felt();
        let counts: Vec<_> = felt.iter().map(|felt| (felt.phase.as_str(), felt.done, felt.failed)).collect();
        assert_eq!(counts, [("before", 1, 0), ("001", 0, 1), ("after", 0, 0)]);
        let error = FeltError { message: "no".into(), statement: "SELECT 1".into(), times: 1 };
        assert_eq!(felt[1].errors, [error]);
        assert_eq!((felt[0].duration_ms, felt[1].duration_ms), (1_000, 1_000));
        assert!((felt[1].max_ms - 1_500.0).abs() < 0.1, "one waits for an error, too");
        assert!(felt[1].p95_ms == 0.0);
    }

    #[test]
    fn who_hangs_for_a_whole_phase_does_not_look_fast() {
        let mut tally = tally(&[("001", 1_000), ("after", 3_000)]);
        for n in 0..90 {
            tally.ended(0, ms(n * 11), ms(1), End::Done);
        }
        // A quick one, then one that hangs: of the two statements one was quick.
        tally.ended(0, ms(1_000), ms(1), End::Done);
        tally.ended(0, ms(1_011), ms(2_000), End::Done);
        let felt = tally.felt();
        assert_eq!((felt[1].done, felt[1].failed), (2, 0), "what was really done");
        assert!(felt[1].p50_ms > 900.0 && felt[1].p50_ms < 1_100.0, "half would have waited for a second: {felt:?}");
        assert!(felt[1].p95_ms > 1_800.0, "{felt:?}");
        assert!((felt[1].max_ms - 2_000.0).abs() < 0.1);
        // What would have been sent after the phase counts there.
        assert!(felt[2].done == 0 && felt[2].max_ms > 0.0 && felt[2].max_ms < 13.0, "{felt:?}");
        assert!(felt[0].p95_ms < 1.1, "{felt:?}");
    }

    #[test]
    fn what_is_always_slow_is_no_wait() {
        let mut tally = tally(&[("001", 1_000)]);
        for n in 0..10 {
            tally.ended(0, ms(n * 100), ms(90), End::Done);
            tally.ended(0, ms(1_000 + n * 100), ms(90), End::Done);
        }
        let felt = tally.felt();
        for felt in &felt {
            assert!(felt.p50_ms >= 90.0 - 0.1 && felt.max_ms < 90.1, "{felt:?}");
        }
    }

    #[test]
    fn what_has_never_worked_before_is_no_migrations_fault() {
        let mut tally = tally(&[]);
        tally.failed(ms(1), "(connecting)", "no");
        assert_eq!(tally.never_worked(), None);
        tally.ended(0, ms(1), ms(1), End::Failed("permission denied"));
        assert_eq!(tally.never_worked(), Some(("SELECT 1".to_owned(), "permission denied".to_owned())));
        tally.ended(0, ms(1), ms(1), End::Done);
        assert_eq!(tally.never_worked(), None, "an error now and then is life");
    }

    #[test]
    fn what_is_under_way_at_the_end_is_an_error_with_its_time_so_far() {
        let mut tally = tally(&[("001", 1_000)]);
        tally.ended(0, ms(1_500), ms(700), End::Unfinished);
        let felt = tally.felt().remove(1);
        assert_eq!((felt.done, felt.failed, felt.errors[0].times), (0, 1, 1));
        assert!(felt.errors[0].message.contains("not finished") && (felt.p50_ms - 700.0).abs() < 0.1, "{felt:?}");
    }

    #[test]
    fn errors_are_counted_the_most_frequent_first_and_kept_within_bounds() {
        let mut tally = tally(&[]);
        tally.failed(ms(1), "(connecting)", "rare");
        for n in 0..1_000 {
            tally.ended(0, ms(1), ms(1), End::Failed(if n % 2 == 0 { "often" } else { "at\ntimes" }));
        }
        tally.ended(0, ms(1), ms(1), End::Failed("often"));
        let told: Vec<_> = tally.felt()[0].errors.iter().map(|e| (e.message.clone(), e.times)).collect();
        assert_eq!(told, [("often".to_owned(), 501), ("at times".to_owned(), 500), ("rare".to_owned(), 1)]);
        for n in 0..1_000 {
            tally.failed(ms(1), "s", &format!("key {n}"));
        }
        let felt = tally.felt().remove(0);
        assert!(felt.errors.len() <= ERRORS_MAX + 1);
        assert_eq!(felt.errors.iter().map(|e| e.times).sum::<u64>(), felt.failed);
    }
}
