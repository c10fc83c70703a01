//! What one component may do and use up: the operator's word, from `lockgate.toml`.

use std::collections::BTreeMap;

use super::Limits;
use crate::{
    error::Problem,
    migration::Checksum,
    step::{Description, Grant, WantedGrant},
};

/// The rights of one component. The default is the database, the log, and the default limits.
#[derive(Debug, Clone, Default)]
pub struct Rights {
    /// What it may use up.
    pub limits: Limits,
    /// Whether its clocks tell the time.
    pub clock: bool,
    /// Whether its random numbers are random.
    pub randomness: bool,
    /// The keys of `config` that it can read, with their values.
    pub config: BTreeMap<String, String>,
}

impl Rights {
    /// Whether the operator gave this.
    pub fn cover(&self, grant: &Grant) -> bool {
        match grant {
            Grant::Clock => self.clock,
            Grant::Randomness => self.randomness,
            Grant::Config(key) => self.config.contains_key(key),
            Grant::Other(_) => false,
        }
    }

    /// Compares what a component asks for with what it was given. What it can do without is only mentioned in the log.
    ///
    /// # Errors
    /// What it cannot do without, why, and the lines of `lockgate.toml` that give it.
    pub fn check(&self, name: &str, filename: &str, digest: &Checksum, wants: &Description) -> Result<(), Problem> {
        let (missing, dispensable): (Vec<_>, Vec<_>) =
            wants.grants.iter().filter(|wanted| !self.cover(&wanted.grant)).partition(|wanted| wanted.required);
        for wanted in dispensable {
            tracing::info!(migration = name, grant = %wanted.grant, why = wanted.why, "not granted, and not required");
        }
        if let Some(unknown) = missing.iter().find(|wanted| matches!(wanted.grant, Grant::Other(_))) {
            return Err(Problem::new(
                filename,
                format!("it requires {}, which this host does not know", said(unknown)),
                "use a lockgate that can grant it, or a migration that does without",
            ));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = missing.iter().map(|wanted| said(wanted)).collect();
        Err(Problem::new(
            filename,
            format!("it requires what it was not granted: {}", list.join("; ")),
            format!("if it may have that, write into lockgate.toml:\n{}", self.lines_with(name, digest, &missing)),
        ))
    }

    /// The tables of `lockgate.toml` that give these rights and more.
    fn lines_with(&self, name: &str, digest: &Checksum, more: &[&WantedGrant]) -> String {
        let wants = |grant: &Grant| self.cover(grant) || more.iter().any(|wanted| wanted.grant == *grant);
        let grants: Vec<String> = [Grant::Clock, Grant::Randomness]
            .iter()
            .filter(|grant| wants(grant))
            .map(|grant| format!("\"{grant}\""))
            .collect();
        let mut lines = vec![format!("[plugin.{name}]"), format!("digest = \"{digest}\"")];
        if !grants.is_empty() {
            lines.push(format!("grants = [{}]", grants.join(", ")));
        }
        let asked = more.iter().filter_map(|wanted| match &wanted.grant {
            Grant::Config(key) => Some(key),
            _ => None,
        });
        // Values may be secrets, and this reaches a log.
        let mut keys: Vec<String> =
            self.config.keys().chain(asked).map(|key| format!("{} = \"…\"", toml_key(key))).collect();
        if !keys.is_empty() {
            keys.sort();
            keys.dedup();
            lines.push(format!("[plugin.{name}.config]"));
            lines.append(&mut keys);
        }
        let indented: Vec<String> = lines.iter().map(|line| format!("      {line}")).collect();
        indented.join("\n")
    }
}

fn said(wanted: &WantedGrant) -> String {
    if wanted.why.is_empty() { format!("`{}`", wanted.grant) } else { format!("`{}` ({})", wanted.grant, wanted.why) }
}

fn toml_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanting(grants: &[(Grant, bool)]) -> Description {
        let wanted = |(grant, required): &(Grant, bool)| WantedGrant {
            grant: grant.clone(),
            required: *required,
            why: "to stamp rows".into(),
        };
        Description { grants: grants.iter().map(wanted).collect(), ..Description::default() }
    }

    fn check(rights: &Rights, grants: &[(Grant, bool)]) -> Result<(), Problem> {
        rights.check("004_a", "004_a.wasm", &Checksum::of_bytes(b"a"), &wanting(grants))
    }

    #[test]
    fn what_is_required_must_be_granted() {
        let grants = [(Grant::Clock, true), (Grant::Config("keep".into()), true), (Grant::Randomness, false)];
        let problem = check(&Rights::default(), &grants).unwrap_err();
        assert_eq!(
            problem.what,
            "it requires what it was not granted: `clock` (to stamp rows); `config:keep` (to stamp rows)"
        );
        for line in ["[plugin.004_a]", "grants = [\"clock\"]", "[plugin.004_a.config]", "keep = \"…\""] {
            assert!(problem.next.lines().any(|l| l.trim() == line), "{line} not in {}", problem.next);
        }
        assert!(problem.next.contains(Checksum::of_bytes(b"a").as_str()));
        let config = BTreeMap::from([("keep".to_owned(), "yes".to_owned())]);
        assert_eq!(check(&Rights { clock: true, config, ..Rights::default() }, &grants), Ok(()));
    }

    #[test]
    fn what_the_host_does_not_know_is_refused_only_where_it_is_required() {
        let other = Grant::Other("teleport".into());
        assert_eq!(check(&Rights::default(), &[(other.clone(), false)]), Ok(()));
        let problem = check(&Rights::default(), &[(Grant::Clock, true), (other, true)]).unwrap_err();
        assert!(problem.what.contains("requires `other:teleport` (to stamp rows), which this host does not know"));
    }

    #[test]
    fn lines_to_write_keep_what_was_given_and_show_no_value() {
        let config = BTreeMap::from([("a key".to_owned(), "secret".to_owned())]);
        let rights = Rights { randomness: true, config, ..Rights::default() };
        let next = check(&rights, &[(Grant::Clock, true)]).unwrap_err().next;
        assert!(next.contains("grants = [\"clock\", \"randomness\"]") && next.contains("\"a key\" = "), "{next}");
        assert!(!next.contains("secret"));
    }
}
