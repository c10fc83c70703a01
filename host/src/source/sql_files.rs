//! `<version>_<description>.up.sql` and its companions.

use super::{Content, Group, Migration, Part};
use crate::{
    error::Problem,
    migration::Checksum,
    sql::{Directives, Script, SqlFiles},
};

pub(super) fn read(group: &Group<'_>) -> Result<Migration, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut script = |part: Part| {
        let path = group.folder.join(group.parts.get(&part)?);
        match Script::read(&path, group.folder) {
            Ok((script, text)) => Some((script, Checksum::of_script(&text))),
            Err(found) => {
                problems.extend(found);
                None
            }
        }
    };
    let up = script(Part::Up);
    let [down, preflight, verify] =
        [Part::Down, Part::Preflight, Part::Verify].map(|part| script(part).map(|(script, _)| script));

    for empty in [&preflight, &verify].into_iter().flatten().filter(|script| script.statements().next().is_none()) {
        let at = empty.path().map(|path| path.display().to_string()).unwrap_or_default();
        problems.push(Problem::new(at, "it checks nothing", "write a statement that returns true, or remove the file"));
    }
    for script in [&preflight, &verify].into_iter().flatten().filter(|s| *s.directives() != Directives::default()) {
        let at = script.path().map(|path| path.display().to_string()).unwrap_or_default();
        problems.push(Problem::new(
            at,
            "it has a directive, which a check does not follow",
            "write `-- lockgate: …` into the up or the down script; the checks share the time-outs of the up script",
        ));
    }
    if let Some(script) = down.as_ref().filter(|script| script.directives().irreversible) {
        let at = script.path().map(|path| path.display().to_string()).unwrap_or_default();
        problems.push(Problem::new(at, "a down script that says it is irreversible", "write that into the up script"));
    }
    let has = |part: Part| group.parts.contains_key(&part);
    let stem = &group.stem;
    let at = group.folder.join(stem).display().to_string();
    if !has(Part::Up) {
        let what = format!(
            "`{stem}.up.sql` is missing, though {} is there",
            group.parts.values().cloned().collect::<Vec<_>>().join(", ")
        );
        problems.push(Problem::new(at.clone(), what, "add it, or remove the rest"));
    }
    match &up {
        Some((up, _)) if up.directives().irreversible && has(Part::Down) => {
            let what = format!("`{stem}.up.sql` says that it is irreversible, yet `{stem}.down.sql` is there");
            problems.push(Problem::new(at, what, "remove one or the other"));
        }
        Some((up, _)) if !up.directives().irreversible && !has(Part::Down) => {
            let what = format!("`{stem}.down.sql` is missing");
            problems.push(Problem::new(at, what, "write it, or say `-- lockgate: irreversible` in the up script"));
        }
        _ => {}
    }
    match up {
        Some((up, checksum)) if problems.is_empty() => Ok(Migration {
            version: group.version.clone(),
            description: group.description(),
            filename: group.parts[&Part::Up].clone(),
            checksum,
            content: Content::Sql(Box::new(SqlFiles { up: Some(up), down, preflight, verify })),
        }),
        _ => Err(problems),
    }
}
