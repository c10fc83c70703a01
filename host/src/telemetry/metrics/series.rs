//! Metrics and their values, as the text that Prometheus reads.
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// A metric. Names and units follow <https://prometheus.io/docs/practices/naming/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name, the unit and what it counts at its end.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is now.
    Gauge,
}

#[cfg(feature = "otlp")]
impl Family {
    /// Its name and unit as OpenTelemetry has them, such that Prometheus, which appends the unit and `_total`, comes back to the name here.
    pub fn in_otlp(&self) -> (String, &'static str) {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        let (name, unit) = match (name.strip_suffix("_seconds"), name.strip_suffix("_bytes")) {
            (Some(name), _) => (name, "s"),
            (_, Some(name)) => (name, "By"),
            _ => (name, ""),
        };
        (name.replacen('_', ".", 1), unit)
    }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}

/// All there are, in the order of the text; docs/telemetry.md explains them.
pub const FAMILIES: [Family; 24] = [
    counter("lockgate_runs_total", "Commands that ended, by result."),
    gauge("lockgate_run_in_progress", "Whether the command is under way; it stays 1 when its process was killed."),
    gauge("lockgate_run_start_timestamp_seconds", "When the command was last begun."),
    gauge("lockgate_run_end_timestamp_seconds", "When it last ended."),
    gauge("lockgate_run_last_success_timestamp_seconds", "When it last ended well."),
    gauge("lockgate_run_duration_seconds", "How long it took the last time."),
    gauge("lockgate_run_exit_code", "The code that it last ended with."),
    gauge(
        "lockgate_migrations_exit_code",
        "The code of the last up or down that came to the migrations; 0 again after a restore or resolve.",
    ),
    gauge("lockgate_lock_wait_seconds", "How long the last run waited for the migration lock."),
    counter("lockgate_migrations_total", "Migrations that ended, by direction and result."),
    gauge("lockgate_migration_start_timestamp_seconds", "When the migration that is under way was begun."),
    gauge("lockgate_migration_end_timestamp_seconds", "When the migration last ended."),
    gauge("lockgate_migration_duration_seconds", "How long the migration took the last time."),
    gauge("lockgate_migrations_pending", "Migrations of the folder that are not applied."),
    counter("lockgate_backfill_rows_total", "Rows, or whatever the component counts, done in batches."),
    counter("lockgate_backfill_batches_total", "Batches that were committed."),
    gauge("lockgate_backfill_rows_per_second", "Rate of the last migration that worked in batches."),
    counter("lockgate_backups_total", "Backups that ended, by result."),
    gauge("lockgate_backup_consecutive_failures", "Backups that failed since the last that did not."),
    gauge("lockgate_backup_duration_seconds", "How long the last backup took, its reading back included."),
    gauge("lockgate_backup_size_bytes", "Size of the last backup, as it is stored."),
    gauge(
        "lockgate_backup_last_success_timestamp_seconds",
        "When the last backup was complete; its age is the time since.",
    ),
    gauge("lockgate_backup_last_failure_timestamp_seconds", "When a backup last failed."),
    gauge("lockgate_info", "Always 1; the version of lockgate that wrote last."),
];

/// The order of labels.
#[cfg(feature = "otlp")]
const ORDER: [&str; 7] = ["server", "database", "version", "command", "migration", "direction", "result"];

/// Labels, in order, each with its value.
pub type Labels = Vec<(String, String)>;

/// Values of metrics, by name and labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series(BTreeMap<(String, Labels), f64>);

impl Series {
    /// Those of a text. Metrics that are not known, and lines that cannot be read, are left out: they would be refused anyway.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let known = |name: &str| FAMILIES.iter().any(|family| family.name == name);
        Self(lines.filter_map(line).filter(|((name, _), _)| known(name)).collect())
    }

    /// Those of a database in a text that has the labels of a push gateway: in an order of its own, with those of the group among them.
    #[cfg(feature = "otlp")]
    pub fn of_group(text: &str, job: &str, server: &str, database: &str) -> Self {
        let wanted = [("job", job), ("server", server), ("database", database)];
        let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
        let all = Self::parse(text).0.into_iter();
        let ours = all.filter(|((_, labels), _)| {
            wanted.iter().all(|(name, value)| labels.iter().any(|label| label.0 == *name && label.1 == *value))
        });
        Self(
            ours.map(|((name, mut labels), value)| {
                labels.retain(|(label, _)| ORDER.contains(&label.as_str()));
                labels.sort_by_key(|(label, _)| rank(label));
                ((name, labels), value)
            })
            .collect(),
        )
    }

    /// Gives one its value.
    pub fn set(&mut self, name: &'static str, labels: Labels, value: f64) {
        debug_assert!(FAMILIES.iter().any(|family| family.name == name), "{name}");
        self.0.insert((name.to_owned(), labels), value);
    }

    /// Adds to one; what is not there was zero.
    pub fn add(&mut self, name: &'static str, labels: Labels, more: f64) {
        let before = self.0.get(&(name.to_owned(), labels.clone())).copied().unwrap_or_default();
        self.set(name, labels, before + more);
    }

    /// Removes those of this name that have all these labels.
    pub fn remove(&mut self, name: &str, labels: &Labels) {
        self.0.retain(|(known, of), _| known != name || !labels.iter().all(|label| of.contains(label)));
    }

    /// Those of this name.
    #[cfg(any(test, feature = "otlp"))]
    pub fn of<'s>(&'s self, name: &'s str) -> impl Iterator<Item = (&'s Labels, f64)> {
        self.0.iter().filter(move |((known, _), _)| known == name).map(|((_, labels), value)| (labels, *value))
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let present: BTreeSet<&str> = self.0.keys().map(|(name, _)| name.as_str()).collect();
        for Family { name, kind, help } in FAMILIES.into_iter().filter(|family| present.contains(family.name)) {
            let kind = if kind == Kind::Counter { "counter" } else { "gauge" };
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for ((_, labels), value) in self.0.iter().filter(|((known, _), _)| known == name) {
                let labels: Vec<String> =
                    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
                let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
            }
        }
        text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// `name{label="value",…} value`
fn line(text: &str) -> Option<((String, Labels), f64)> {
    let (name, rest) = text.split_once('{')?;
    let mut labels = Labels::new();
    let mut rest = rest;
    while !rest.starts_with('}') {
        let (label, after) = rest.trim_start_matches(',').split_once("=\"")?;
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next()? {
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    c => value.push(c),
                },
                (end, '"') => break end,
                (_, c) => value.push(c),
            }
        };
        labels.push((label.to_owned(), value));
        rest = &after[end + 1..];
    }
    Some(((name.to_owned(), labels), rest[1..].trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(value: &str) -> Labels {
        vec![("database".into(), value.into()), ("result".into(), "success".into())]
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut series = Series::default();
        series.add("lockgate_runs_total", labels("a\"b\\c\nd,e={}"), 1.0);
        series.add("lockgate_runs_total", labels("a\"b\\c\nd,e={}"), 1.0);
        series.set("lockgate_backup_size_bytes", Labels::new(), 1.5e12);
        let text = series.text();
        let told = "# HELP lockgate_runs_total Commands that ended, by result.\n# TYPE lockgate_runs_total counter\n\
                    lockgate_runs_total{database=\"a\\\"b\\\\c\\nd,e={}\",result=\"success\"} 2\n";
        assert!(text.starts_with(told), "{text}");
        assert_eq!(Series::parse(&text), series);
    }

    #[test]
    fn what_somebody_else_has_written_is_left_out() {
        let text = "other{a=\"b\"} 1\nlockgate_runs_total{database=\"x\"\nlockgate_runs_total{database=\"x\"} many\nnonsense\n\n{} 3\n";
        assert_eq!(Series::parse(text), Series::default());
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn what_a_gateway_has_of_a_database_is_read_as_it_was_written() {
        let mut series = Series::default();
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let of = [label("server", "s:1"), label("database", "d")];
        let with = |more: &[(String, String)]| of.iter().chain(more).cloned().collect::<Labels>();
        series.set("lockgate_runs_total", with(&[label("command", "up"), label("result", "success")]), 3.0);
        series.set("lockgate_migrations_total", with(&[label("direction", "up"), label("result", "success")]), 2.0);
        let text = "push_time_seconds{database=\"d\",instance=\"\",job=\"lockgate\",server=\"s:1\"} 1.7e+09\n\
             lockgate_runs_total{command=\"up\",database=\"d\",instance=\"\",job=\"lockgate\",result=\"success\",server=\"s:1\"} 3\n\
             lockgate_runs_total{command=\"up\",database=\"e\",instance=\"\",job=\"lockgate\",result=\"success\",server=\"s:1\"} 9\n\
             lockgate_runs_total{command=\"up\",database=\"d\",instance=\"\",job=\"other\",result=\"success\",server=\"s:1\"} 9\n\
             lockgate_migrations_total{database=\"d\",direction=\"up\",instance=\"\",job=\"lockgate\",result=\"success\",server=\"s:1\"} 2\n";
        assert_eq!(Series::of_group(text, "lockgate", "s:1", "d"), series);
    }

    #[test]
    fn only_those_with_the_labels_are_removed() {
        let mut series = Series::default();
        series.set("lockgate_runs_total", labels("a"), 1.0);
        series.set("lockgate_runs_total", labels("b"), 1.0);
        series.remove("lockgate_runs_total", &vec![("database".into(), "a".into())]);
        assert_eq!(series.0.len(), 1);
    }

    #[test]
    fn names_follow_the_conventions_and_are_documented() {
        let text = include_str!("../../../../docs/telemetry.md");
        for Family { name, kind, help } in FAMILIES {
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
            assert!(help.ends_with('.') && !help.contains(['\\', '\n']), "{name}");
            assert!(text.contains(&format!("| `{name}` |")), "docs/telemetry.md does not explain {name}");
        }
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn names_in_opentelemetry_are_different_and_lead_back() {
        let mut names = BTreeSet::new();
        for family in FAMILIES {
            let (name, unit) = family.in_otlp();
            let suffix = match unit {
                "s" => "_seconds",
                "By" => "_bytes",
                _ => "",
            };
            let total = if family.kind == Kind::Counter { "_total" } else { "" };
            // https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#otlp-metric-points-to-prometheus
            assert_eq!(format!("{}{suffix}{total}", name.replace('.', "_")), family.name);
            assert!(names.insert(name), "{}", family.name);
        }
    }
}
