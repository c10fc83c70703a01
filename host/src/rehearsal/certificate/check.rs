//! Whether a certificate is about the run at hand.

use std::time::Duration;

use super::{record::Certificate, refusal::Refusal};
use crate::{
    migration::{Checksum, Version},
    rehearsal::Extent,
};

/// How far the clocks of two machines may differ before one is said to be wrong.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// The run at hand, before its first change.
#[derive(Debug, Clone)]
pub struct Present<'a> {
    /// The name of the database.
    pub database: &'a str,
    /// The major version of the server.
    pub server_major: u32,
    /// What the database is like. `None` where an earlier run has begun the first migration: no rehearsal has seen it so.
    pub base: Option<Standing<'a>>,
    /// What is to be applied, in order.
    pub pending: Vec<Pending<'a>>,
    /// What time it is.
    pub now: jiff::Timestamp,
    /// How old a certificate may be.
    pub max_age: Duration,
    /// What the copy must have had: a rehearsal without rows counts only where none are asked for.
    pub extent: Extent,
    /// The tables whose rows a way down need not bring back.
    pub ignored: &'a [String],
}

/// What a database is like between two migrations.
#[derive(Debug, Clone)]
pub struct Standing<'a> {
    /// The newest version that is applied.
    pub version: Option<&'a Version>,
    /// The digest of the schema.
    pub schema_fingerprint: &'a str,
}

/// A migration that is to be applied.
#[derive(Debug, Clone)]
pub struct Pending<'a> {
    /// Its version.
    pub version: &'a Version,
    /// Version and description.
    pub name: &'a str,
    /// The digest that the history will have of it.
    pub checksum: &'a Checksum,
    /// The digest of what else decides what it does.
    pub companions: &'a Checksum,
}

impl Certificate {
    /// Every reason why this rehearsal says nothing about a run; none where the run may rely on it.
    ///
    /// What an earlier run has begun goes on under the certificate that let it through, however old that has become, and whatever the
    /// half applied migration has done to the schema; what follows it must have been rehearsed behind it all the same.
    pub fn refusals(&self, present: &Present<'_>) -> Vec<Refusal> {
        if self.target.database != present.database {
            let (rehearsed, present) = (self.target.database.clone(), present.database.to_owned());
            return vec![Refusal::OtherDatabase { rehearsed, present }];
        }
        let mut refusals = Vec::new();
        if !self.passed {
            let faulty = self.migrations.iter().filter(|migration| !migration.faults.is_empty());
            refusals.push(Refusal::NotPassed(faulty.map(|migration| migration.name.clone()).collect()));
        }
        if (self.copy.extent, present.extent) == (Extent::SchemaOnly, Extent::Data) {
            refusals.push(Refusal::WithoutRows);
        }
        let unasked = self.copy.ignored.iter().filter(|table| !present.ignored.contains(table));
        let unasked: Vec<String> = unasked.cloned().collect();
        if !unasked.is_empty() {
            refusals.push(Refusal::Ignored(unasked));
        }
        refusals.extend(self.wrong_server(present));
        let mut from = 0;
        let standing = present.base.as_ref();
        if let Some(standing) = standing {
            refusals.extend(self.wrong_age(present));
            if self.target.version.as_ref() != standing.version {
                let (rehearsed, present) = (self.target.version.clone(), standing.version.cloned());
                refusals.push(Refusal::OtherBase { rehearsed, present });
            } else if self.target.schema_fingerprint != standing.schema_fingerprint {
                let (rehearsed, present) =
                    (self.target.schema_fingerprint.clone(), standing.schema_fingerprint.to_owned());
                refusals.push(Refusal::OtherSchema { rehearsed, present });
            }
        }
        if standing.is_none_or(|standing| self.target.version.as_ref() != standing.version) {
            // Some of what was rehearsed is applied by now: the others are compared all the same.
            let first = present.pending.first().map(|pending| pending.version);
            from = self.migrations.iter().position(|m| Some(&m.version) == first).unwrap_or(0);
        }
        refusals.extend(self.wrong_migrations(&present.pending, from));
        refusals
    }

    fn wrong_server(&self, present: &Present<'_>) -> Option<Refusal> {
        let other = |version: &str| major(version) != Some(present.server_major);
        let (rehearsed, copy) = (&self.target.server_version, &self.copy.server_version);
        match present.server_major {
            present if other(rehearsed) => Some(Refusal::OtherServer { rehearsed: rehearsed.clone(), present }),
            present if other(copy) => Some(Refusal::CopyOnOtherServer { rehearsed: copy.clone(), present }),
            _ => None,
        }
    }

    fn wrong_age(&self, present: &Present<'_>) -> Option<Refusal> {
        let age = present.now.duration_since(self.issued_at);
        match Duration::try_from(age) {
            Ok(age) if age > present.max_age => Some(Refusal::Stale { age, max_age: present.max_age }),
            Ok(_) => None,
            Err(_) if age.unsigned_abs() > CLOCK_SKEW_MAX => Some(Refusal::FromTheFuture(age.unsigned_abs())),
            Err(_) => None,
        }
    }

    /// What of the pending migrations was not rehearsed as it is, from that place among the rehearsed ones on.
    fn wrong_migrations(&self, pending: &[Pending<'_>], from: usize) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for (i, migration) in pending.iter().enumerate() {
            let name = migration.name.to_owned();
            match self.migrations.get(from + i) {
                Some(rehearsed) if rehearsed.version == *migration.version => {
                    if rehearsed.checksum != *migration.checksum {
                        let (rehearsed, present) = (rehearsed.checksum.clone(), migration.checksum.clone());
                        refusals.push(Refusal::Changed { name, rehearsed, present });
                    } else if rehearsed.companions != *migration.companions {
                        refusals.push(Refusal::OtherCompanions(name));
                    }
                }
                // Behind a place that differs, all others do.
                Some(rehearsed) if self.migrations.iter().any(|m| m.version == *migration.version) => {
                    let rehearsed = rehearsed.name.clone();
                    refusals.push(Refusal::OtherOrder { place: i + 1, rehearsed, present: name });
                    break;
                }
                _ => {
                    refusals.push(Refusal::NotRehearsed(name));
                    break;
                }
            }
        }
        refusals
    }
}

/// 15 for `15.18 (Debian 15.18-0+deb12u1)`.
fn major(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rehearsal::{
        Extent, HazardCode, Place, Reversibility, Verdict,
        certificate::{Base, FORMAT, Of, Rehearsed},
    };

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn rehearsed(number: &str, name: &str) -> Rehearsed {
        Rehearsed {
            version: version(number),
            name: format!("{number}_{name}"),
            filename: format!("{number}_{name}.up.sql"),
            kind: "sql".into(),
            checksum: Checksum::of_bytes(name.as_bytes()),
            companions: Checksum::of_bytes(b"companions"),
            reversibility: Reversibility::Irreversible("\"it\" drops a colümn\\".into()),
            verdict: Verdict::BriefLock,
            faults: Vec::new(),
            hazards: vec![HazardCode::Rewrite],
        }
    }

    /// One that passed: three migrations on an empty database.
    pub fn certificate() -> Certificate {
        Certificate {
            format: FORMAT,
            lockgate: "0.1.0".into(),
            run_id: uuid::Uuid::from_u128(7),
            issued_at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            target: Base {
                database: "auth".into(),
                server_version: "15.18 (Debian 15.18-0+deb12u1)".into(),
                schema_fingerprint: "f".repeat(64),
                version: None,
            },
            copy: Of {
                on: Place::Scratch,
                server_version: "15.18".into(),
                backup: "20260102T030405Z-1".into(),
                extent: Extent::SchemaOnly,
                masked: Some("mask.sql".into()),
                ignored: vec!["audit".into()],
            },
            migrations: vec![rehearsed("001", "a"), rehearsed("002", "b"), rehearsed("003", "c")],
            fail_on: Some(Verdict::BlocksReads),
            passed: true,
        }
    }

    /// Asks of the certificate whether it fits a run of these of its migrations, at that time after it was issued.
    fn refusals(
        certificate: &Certificate,
        pending: std::ops::Range<usize>,
        seconds: i64,
        change: impl FnOnce(&mut Present<'_>),
    ) -> Vec<Refusal> {
        let original = super::tests::certificate();
        let fingerprint = "f".repeat(64);
        let pending = original.migrations[pending].iter();
        let ignored = ["audit".to_owned()];
        let mut present = Present {
            database: "auth",
            server_major: 15,
            base: Some(Standing { version: None, schema_fingerprint: &fingerprint }),
            pending: pending
                .map(|m| Pending {
                    version: &m.version,
                    name: &m.name,
                    checksum: &m.checksum,
                    companions: &m.companions,
                })
                .collect(),
            now: original.issued_at + jiff::SignedDuration::from_secs(seconds),
            max_age: Duration::from_secs(3_600),
            extent: Extent::SchemaOnly,
            ignored: &ignored,
        };
        change(&mut present);
        certificate.refusals(&present)
    }

    #[test]
    fn the_same_and_the_first_of_the_same_are_let_through() {
        for pending in [0..3, 0..2, 0..1] {
            assert_eq!(refusals(&certificate(), pending, 60, |_| {}), []);
        }
    }

    #[test]
    fn others_are_named() {
        let of = |certificate: &Certificate| refusals(certificate, 0..3, 60, |_| {});
        let mut shorter = certificate();
        shorter.migrations.pop();
        assert_eq!(of(&shorter), [Refusal::NotRehearsed("003_c".into())]);
        let mut turned = certificate();
        turned.migrations.swap(1, 2);
        let (rehearsed, present) = ("003_c".to_owned(), "002_b".to_owned());
        assert_eq!(of(&turned), [Refusal::OtherOrder { place: 2, rehearsed, present }]);
        let mut changed = certificate();
        changed.migrations[0].checksum = Checksum::of_bytes(b"x");
        changed.migrations[2].checksum = Checksum::of_bytes(b"y");
        let all = of(&changed);
        assert!(
            matches!(&all[..], [Refusal::Changed { name: a, .. }, Refusal::Changed { name: c, .. }]
            if a == "001_a" && c == "003_c"),
            "{all:?}"
        );
        let text = all[0].finding().message;
        let (was, is) = (Checksum::of_bytes(b"x"), Checksum::of_bytes(b"a"));
        assert!(text.contains(was.short()) && text.contains(is.short()) && !text.contains(is.as_str()), "{text}");
        // Left out at the front: what was rehearsed behind another is not what is run without it.
        assert!(matches!(&refusals(&certificate(), 1..3, 60, |_| {})[..], [Refusal::OtherOrder { place: 1, .. }]));
    }

    #[test]
    fn an_hour_is_an_hour_and_clocks_may_differ_by_five_minutes() {
        let at = |seconds| refusals(&certificate(), 0..3, seconds, |_| {});
        assert_eq!((at(3_600), at(-300), at(0)), (vec![], vec![], vec![]));
        let [Refusal::Stale { age, .. }] = &at(3_601)[..] else { panic!("{:?}", at(3_601)) };
        assert_eq!(age.as_secs(), 3_601);
        assert_eq!(at(-301), [Refusal::FromTheFuture(Duration::from_secs(301))]);
    }

    #[test]
    fn another_database_server_base_or_schema_is_another() {
        let with = |change: fn(&mut Present<'_>)| refusals(&certificate(), 0..3, 60, change);
        assert!(matches!(&with(|p| p.database = "other")[..], [Refusal::OtherDatabase { .. }]));
        assert!(matches!(&with(|p| p.server_major = 16)[..], [Refusal::OtherServer { present: 16, .. }]));
        let mut elsewhere = certificate();
        elsewhere.copy.server_version = "18.1".into();
        assert!(matches!(&refusals(&elsewhere, 0..3, 60, |_| {})[..], [Refusal::CopyOnOtherServer { .. }]));
        let schema = with(|p| p.base = Some(Standing { version: None, schema_fingerprint: "0123456789abcdef" }));
        assert!(matches!(&schema[..], [Refusal::OtherSchema { .. }]));
        assert!(schema[0].finding().message.ends_with("is 0123456789ab…, it was ffffffffffff…"), "{schema:?}");
        let one: &Version = Box::leak(Box::new(version("1")));
        let applied = refusals(&certificate(), 1..3, 60, |p| {
            p.base = Some(Standing { version: Some(one), schema_fingerprint: "x" });
        });
        assert_eq!(applied, [Refusal::OtherBase { rehearsed: None, present: Some(one.clone()) }], "the rest fits");
        let mut failed = certificate();
        failed.passed = false;
        assert_eq!(refusals(&failed, 0..3, 60, |_| {}), [Refusal::NotPassed(vec![])]);
    }

    #[test]
    fn one_without_rows_counts_only_where_none_are_asked_for() {
        let asked = |extent, copy| {
            let mut certificate = certificate();
            certificate.copy.extent = copy;
            refusals(&certificate, 0..3, 60, |present| present.extent = extent)
        };
        assert_eq!(asked(Extent::Data, Extent::SchemaOnly), [Refusal::WithoutRows]);
        for (extent, copy) in
            [(Extent::Data, Extent::Data), (Extent::SchemaOnly, Extent::SchemaOnly), (Extent::SchemaOnly, Extent::Data)]
        {
            assert_eq!(asked(extent, copy), []);
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let mut certificate = certificate();
        certificate.passed = false;
        certificate.migrations[1].checksum = Checksum::of_bytes(b"x");
        let all = refusals(&certificate, 0..3, 4_000, |present| present.server_major = 14);
        let codes: Vec<String> = all.iter().map(|refusal| refusal.finding().code).collect();
        assert_eq!(codes, ["rehearsal-failed", "rehearsal-server", "rehearsal-stale", "rehearsal-migrations"]);
    }

    #[test]
    fn what_has_begun_goes_on_and_what_follows_must_be_rehearsed() {
        let begun = |certificate: &Certificate| refusals(certificate, 1..3, 100_000, |present| present.base = None);
        assert_eq!(begun(&certificate()), []);
        let mut changed = certificate();
        changed.migrations[2].checksum = Checksum::of_bytes(b"x");
        assert!(matches!(&begun(&changed)[..], [Refusal::Changed { name, .. }] if name == "003_c"));
        changed.migrations.remove(1);
        assert_eq!(begun(&changed), [Refusal::NotRehearsed("002_b".into())]);
    }
}
