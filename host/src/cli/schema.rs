//! `lockgate schema`: what the JSON of every command looks like, for programs that read it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Args};
use serde_json::Value;

use super::{Result, console, plugin};
use crate::{
    backup::{Drill, Listing, Manifest, Proof, Restored, retention::Pruned},
    config::settings::Settings,
    doctor::Examination,
    error::{Error, ExitCode},
    events::Line,
    lint::Level,
    plugin::{inspect::Inspection, pin::Pinning},
    postgres::journal::{Recorded, Verification},
    rehearsal::Rehearsal,
    report::json::{Document, of_one},
    runner::{Adoption, Health, Linted, Outcome, Pause, Plan, Repair, Resolution, Status, Tryout},
    scaffold::Scaffold,
    testing::cycle::Cycle,
};

const HELP: &str = "The schemas are JSON Schema, draft 2020-12, and belong to this version of the program.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Which [default: list their names]
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    command: Vec<String>,
    /// Write all of them into this folder, each as COMMAND.schema.json
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// The name of the command that these arguments call, such as `backup list`.
pub fn called(matches: &ArgMatches) -> String {
    let (mut names, mut matches) = (Vec::new(), matches);
    while let Some((name, inner)) = matches.subcommand() {
        names.push(name);
        matches = inner;
    }
    names.join(" ")
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let schemas = all();
    if let Some(folder) = &arguments.out {
        write(folder, &schemas)?;
        return Ok(ExitCode::Done);
    }
    let name = arguments.command.join(" ");
    let text = match schemas.get(name.as_str()) {
        Some(schema) => format!("{schema:#}\n"),
        None if name.is_empty() => schemas.keys().map(|name| format!("{name}\n")).collect(),
        None => {
            let what = format!("there is no schema `{name}`");
            return Err(Error::configuration(what, "`lockgate schema` lists those that there are"));
        }
    };
    console::write(text.as_bytes())?;
    Ok(ExitCode::Done)
}

fn write(folder: &Path, schemas: &BTreeMap<&'static str, Value>) -> Result<()> {
    let failed = |path: &Path, e| Error::system(format!("writing `{}`", path.display()), e);
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    for (name, schema) in schemas {
        let path = folder.join(file_name(name));
        fs::write(&path, format!("{schema:#}\n")).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}

/// `backup-list.schema.json`
fn file_name(name: &str) -> String {
    format!("{}.schema.json", name.replace(' ', "-"))
}

/// The schema of the lines that `--events` writes, which is no command's.
const EVENT: &str = "event";

/// Every schema by its name.
fn all() -> BTreeMap<&'static str, Value> {
    let events = of_one::<Line>("lockgate --events", "A line of the events of a run.");
    let results = documents().into_iter().map(|document| (document.command(), document.schema()));
    results.chain([(EVENT, events)]).collect()
}

/// What each command prints. [`Context::print`](super::Context::print) takes nothing that has no schema; that it is one of these the suite
/// `json` looks at.
fn documents() -> Vec<Document> {
    let of = Document::of;
    vec![
        of("adopt", "What was taken over from another tool, or would be with `--dry-run`.").prints::<Adoption>(),
        of("backup", "The manifest of the backup that was taken.").prints::<Manifest>(),
        of("backup list", "The backups that there are.").prints::<Listing>(),
        of("backup prune", "What was removed and what was kept, and why; with `--dry-run` what would be.")
            .prints::<Pruned>(),
        of("backup verify", "How far the backup is proved.").prints::<Proof>(),
        of("baseline", "The migrations that were taken as applied, or would be with `--dry-run`.").prints::<Adoption>(),
        of("config show", "Every setting, its value and its source.").prints::<Settings>(),
        of("doctor", "What was examined and what was found.").prints::<Examination>(),
        of("down", "What the run did; with `--dry-run` what it would do.").prints::<Outcome>().prints::<Plan>(),
        of("drill", "What the drill took and what would be lost, against the targets.").prints::<Drill>(),
        of(
            "history",
            "The last entries of the journal, or those of one run, the newest last; with `--verify` whether they are as they were written.",
        )
        .prints::<Vec<Recorded>>()
        .prints::<Verification>(),
        of("lint", "What the rules found; with `--rules` every rule and how much it weighs.")
            .prints::<Linted>()
            .prints::<BTreeMap<String, Level>>(),
        of("new", "The files that were written.").prints::<Scaffold>(),
        of("pause", "The migration that is paused, or no longer.").prints::<Pause>(),
        of("plan", "What `lockgate up` would do.").prints::<Plan>(),
        of("plugin build", "The component that was built.").prints::<plugin::Built>(),
        of("plugin inspect", "What a component is, and what this host makes of it.").prints::<Inspection>(),
        of("plugin pin", "What was written into lockgate.lock.").prints::<Vec<Pinning>>(),
        of("plugin test", "What became of the component, stage by stage.").prints::<Cycle>(),
        of("plugin verify", "The components that are pinned and fit this host.").prints::<Vec<plugin::Fit>>(),
        of("plugin warm", "The components that lie in the code cache now.").prints::<Vec<plugin::Warmed>>(),
        of("plugin wit", "The interface that a component implements, in WIT.").prints::<String>(),
        of("rehearse", "What the rehearsal found out.").prints::<Rehearsal>(),
        of("repair", "What was taken for what had been applied, or would be with `--dry-run`.").prints::<Repair>(),
        of("resolve", "What the step is taken as, or would be with `--dry-run`.").prints::<Resolution>(),
        of("restore", "What was restored; with `--clean-up` what was removed.")
            .prints::<Restored>()
            .prints::<Vec<String>>(),
        of("roles", "The SQL that makes the roles.").prints::<String>(),
        of("status", "The state of every migration.").prints::<Status>(),
        of("test", "What the server is.").prints::<Health>(),
        of(
            "up",
            "What the run did; with `--dry-run` what it would do, with `--rollback-after` what came of trying it.",
        )
        .prints::<Outcome>()
        .prints::<Plan>()
        .prints::<Tryout>(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// Commands that print no outcome: another program has the terminal, or what is printed is a file of its own kind.
    const WITHOUT: [&str; 5] = ["completions", "config schema", "man", "psql", "schema"];

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schemas");

    fn leaves(command: &clap::Command, path: &str, names: &mut BTreeSet<String>) {
        let inner: Vec<_> = command.get_subcommands().filter(|inner| inner.get_name() != "help").collect();
        if !path.is_empty() && (inner.is_empty() || !command.is_subcommand_required_set()) {
            names.insert(path.to_owned());
        }
        for command in inner {
            let name = command.get_name();
            leaves(command, &if path.is_empty() { name.to_owned() } else { format!("{path} {name}") }, names);
        }
    }

    #[test]
    fn every_command_that_prints_something_has_a_schema() {
        let mut commands = BTreeSet::new();
        leaves(&<Cli>::command(), "", &mut commands);
        let mut described: BTreeSet<String> =
            documents().iter().map(|document| document.command().to_owned()).collect();
        described.extend(WITHOUT.map(str::to_owned));
        assert_eq!(commands, described);
    }

    #[test]
    fn the_schemas_in_docs_are_those_of_this_program() {
        let mut files: BTreeSet<String> =
            fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        for (name, schema) in all() {
            let file = file_name(name);
            let committed = fs::read_to_string(Path::new(FOLDER).join(&file)).unwrap_or_default();
            assert!(
                committed == format!("{schema:#}\n"),
                "docs/schemas/{file} is stale: `just schemas` writes it anew"
            );
            files.remove(&file);
        }
        assert_eq!(files, BTreeSet::new(), "they describe no command");
    }

    #[test]
    fn everything_in_a_schema_is_described_and_every_object_closed() {
        for (name, schema) in all() {
            assert_eq!(undescribed(&schema, name, false), Vec::<String>::new());
            for kind in schema["$defs"].as_object().unwrap().keys() {
                assert!(!kind.ends_with(|c: char| c.is_ascii_digit()), "{name}: two types are called the same: {kind}");
            }
        }
    }

    #[test]
    fn a_property_without_a_description_and_an_open_object_are_found() {
        let schema = serde_json::json!({
            "$defs": { "A": { "type": "object", "properties": { "a": { "type": "string" } } } },
        });
        let found = undescribed(&schema, "x", false);
        assert_eq!(found, ["x.A is not closed", "x.A.a has no description"]);
    }

    /// What lacks a description, and what would let an undocumented property pass. `within`: the schema around it closes the object.
    fn undescribed(schema: &Value, at: &str, within: bool) -> Vec<String> {
        let mut found = Vec::new();
        let combined = schema.get("unevaluatedProperties").is_some();
        if let Some(properties) = schema["properties"].as_object() {
            let closed = schema["additionalProperties"] == false || schema["unevaluatedProperties"] == false;
            if !closed && !within {
                found.push(format!("{at} is not closed"));
            }
            for (name, property) in properties {
                if property["description"].as_str().is_none_or(str::is_empty) {
                    found.push(format!("{at}.{name} has no description"));
                }
                found.extend(undescribed(property, &format!("{at}.{name}"), false));
            }
        } else if schema["type"] == "object" && schema.get("additionalProperties").is_none() && !within {
            found.push(format!("{at} is an object of which nothing is said"));
        }
        for (name, inner) in schema["$defs"].as_object().into_iter().flatten() {
            found.extend(undescribed(inner, &format!("{at}.{name}"), false));
        }
        for keyword in ["anyOf", "oneOf", "allOf"] {
            for inner in schema[keyword].as_array().into_iter().flatten() {
                found.extend(undescribed(inner, &format!("{at}.{keyword}"), within || combined));
            }
        }
        for keyword in ["items", "additionalProperties"] {
            found.extend(schema.get(keyword).into_iter().flat_map(|inner| undescribed(inner, at, false)));
        }
        found
    }
}
