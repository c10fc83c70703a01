//! Durations and estimates as people read them; the HTML and the text say them alike.

use crate::rehearsal::measure::{Basis, Estimate};

/// A duration in the unit that it fills: `0.25 ms`, `2.5 ms`, `120 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
pub fn duration(ms: f64) -> String {
    let ms = if ms.is_finite() { ms.max(0.0) } else { 0.0 };
    // Rounded before it is written: an exact half is then never a matter of how a language prints it.
    let tenths = |value: f64| (value * 10.0).round() / 10.0;
    if ms == 0.0 {
        return "0 ms".into();
    }
    if ms < 0.995 {
        return format!("{:.2} ms", ((ms * 100.0).round() / 100.0).max(0.01));
    }
    if ms < 9.95 {
        return format!("{:.1} ms", tenths(ms));
    }
    if ms.round() < 1_000.0 {
        return format!("{:.0} ms", ms.round());
    }
    if tenths(ms / 1_000.0) < 60.0 {
        return format!("{:.1} s", tenths(ms / 1_000.0));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = (ms / 1_000.0).round() as u64;
    match seconds {
        ..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// The same of whole milliseconds.
#[allow(clippy::cast_precision_loss)]
pub fn whole(ms: u64) -> String {
    duration(ms as f64)
}

/// `1.2 s to 4.0 s`, and one of them where both read alike.
pub fn range(low_ms: f64, high_ms: f64) -> String {
    let (low, high) = (duration(low_ms), duration(high_ms));
    if low == high { high } else { format!("{low} to {high}") }
}

/// The range of an estimate.
pub fn estimate(estimate: &Estimate) -> String {
    range(estimate.low_ms, estimate.high_ms)
}

/// What an estimate rests on, as the end of a sentence.
pub fn basis(basis: &Basis) -> String {
    match basis {
        Basis::Constant => "as long as here: it does not depend on the size of a table".into(),
        Basis::SameSize => "measured on tables as large as the target’s".into(),
        Basis::Scaled { relation, factor } => {
            format!("measured here; {relation} is {} times as large on the target", times(*factor))
        }
        Basis::Assumed { relation, target_bytes } => {
            format!(
                "not measured: usual rates, and the {} that {relation} has on the target",
                super::bytes(*target_bytes)
            )
        }
    }
}

/// `1.5` or `40`
fn times(factor: f64) -> String {
    if factor < 9.95 { format!("{:.1}", (factor * 10.0).round() / 10.0) } else { format!("{:.0}", factor.round()) }
}

/// `1 migration`, `2,000 migrations`
pub fn count(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", super::thousands(n as u64), super::plural(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_in_the_unit_that_it_fills() {
        let told = [
            0.0,
            0.001,
            0.25,
            0.994,
            0.996,
            2.54,
            9.96,
            999.4,
            999.5,
            59_940.0,
            59_960.0,
            185_000.0,
            7_800_000.0,
            273_600_000.0,
        ];
        let words = [
            "0 ms",
            "0.01 ms",
            "0.25 ms",
            "0.99 ms",
            "1.0 ms",
            "2.5 ms",
            "10 ms",
            "999 ms",
            "1.0 s",
            "59.9 s",
            "1 min 0 s",
            "3 min 5 s",
            "2 h 10 min",
            "3 d 4 h",
        ];
        assert_eq!(told.map(duration), words);
        assert_eq!([f64::NAN, f64::INFINITY, -1.0].map(duration), ["0 ms"; 3], "what cannot be is not told");
    }

    #[test]
    fn a_range_whose_ends_read_alike_is_one_duration() {
        assert_eq!(range(1_000.0, 4_000.0), "1.0 s to 4.0 s");
        assert_eq!(range(1_000.0, 1_001.0), "1.0 s");
    }

    #[test]
    fn an_estimate_says_what_it_rests_on() {
        let scaled = Basis::Scaled { relation: "orders".into(), factor: 40.2 };
        assert_eq!(basis(&scaled), "measured here; orders is 40 times as large on the target");
        let assumed = Basis::Assumed { relation: "orders".into(), target_bytes: 1 << 30 };
        assert_eq!(basis(&assumed), "not measured: usual rates, and the 1.0 GiB that orders has on the target");
    }
}
