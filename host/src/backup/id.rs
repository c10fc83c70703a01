//! The name of a backup, with which the names of its files begin: when it was begun, and by which run.

/// `20261123T223303Z_a88137df`.
pub(super) fn stem(created_at: jiff::Timestamp, run_id: &str) -> String {
    format!("{}_{}", created_at.strftime("%Y%m%dT%H%M%SZ"), &run_id[run_id.len() - 8..])
}

/// The part that tells when, by the clock of the machine that took it.
pub(super) fn begun(id: &str) -> &str {
    id.split('_').next().unwrap_or_default()
}

/// `20261123T223303Z_a88137df`, perhaps with a number.
pub(super) fn is_id(text: &str) -> bool {
    let mut parts = text.split('_');
    let (time, run, number) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next());
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_time = time.len() == 16
        && time.ends_with('Z')
        && time.split_once('T').is_some_and(|(day, rest)| digits(day) && digits(rest.trim_end_matches('Z')));
    let is_run = run.len() == 8 && run.bytes().all(|b| b.is_ascii_hexdigit());
    is_time && is_run && number.is_none_or(digits) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ids() {
        for id in ["20261123T223303Z_a88137df", "20261123T223303Z_a88137df_2"] {
            assert!(is_id(id), "{id}");
        }
        for other in
            ["", "20261123T223303Z", "20261123T223303Z_a88137dg", "20261123T223303Z_a88137df_x", "2026_a88137df"]
        {
            assert!(!is_id(other), "{other}");
        }
    }
}
