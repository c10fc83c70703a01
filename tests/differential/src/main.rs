//! Compares the scanner of the host with PostgreSQL's own, which libpg_query carries: token by token, and statement by statement.
//!
//! `lockgate-differential SECONDS [SEED]` reads the corpora whole first, then texts made of their pieces until the time is over. What
//! the two read differently ends it with an error, the text and the seed.

mod compare;
mod corpora;
mod mutate;
// What only the host calls is not called here.
#[allow(dead_code)]
#[path = "../../../host/src/sql/scan.rs"]
mod scan;
#[allow(dead_code)]
#[path = "../../../host/src/sql/split.rs"]
mod split;

use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use compare::{Verdict, compare};
use mutate::Mutator;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a number"));
    let seconds = arguments.next().expect("for how many seconds to look");
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    let seed = arguments.next().unwrap_or(u64::from(clock.subsec_nanos()));
    let texts = corpora::texts();
    let mut tally = Tally::default();
    for (name, text) in &texts {
        if let Err(what) = tally.take(compare(text)) {
            eprintln!("error: {name}: {what}");
            return ExitCode::FAILURE;
        }
    }
    println!("{} texts of the corpora are read alike, {tally}", texts.len());
    assert!(tally.alike > 300, "the corpora are not all there");
    println!("seed {seed}");
    let (begin, mut tally) = (Instant::now(), Tally::default());
    let mut mutator = Mutator::new(seed, texts.iter().map(|(_, text)| text.as_str()).collect());
    while begin.elapsed() < Duration::from_secs(seconds) {
        let text = mutator.text();
        if let Err(what) = tally.take(compare(&text)) {
            let smallest = smallest(text);
            eprintln!("error: seed {seed}: {what}\nthe smallest text that shows it: {smallest:?}");
            return ExitCode::FAILURE;
        }
    }
    println!("{tally}");
    assert!(tally.alike > 100 * seconds, "too few texts were compared");
    ExitCode::SUCCESS
}

/// What came of the comparisons.
#[derive(Default)]
struct Tally {
    alike: u64,
    refused: u64,
}

impl Tally {
    fn take(&mut self, verdict: Verdict) -> Result<(), String> {
        match verdict {
            Verdict::Alike => self.alike += 1,
            Verdict::Refused => self.refused += 1,
            Verdict::Differs(what) => return Err(what),
        }
        Ok(())
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} read alike, {} refused by PostgreSQL's scanner", self.alike, self.refused)
    }
}

/// Takes characters away as long as the two go on to differ.
fn smallest(mut text: String) -> String {
    let differs = |text: &str| matches!(compare(text), Verdict::Differs(_));
    let mut size = text.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at + size <= text.len() {
            if text.is_char_boundary(at) && text.is_char_boundary(at + size) {
                let shorter = format!("{}{}", &text[..at], &text[at + size..]);
                if differs(&shorter) {
                    text = shorter;
                    continue;
                }
            }
            at += 1;
        }
        size /= 2;
    }
    text
}
