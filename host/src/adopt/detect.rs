//! Whether another tool has migrated the database that a first run is about to migrate.

use std::path::Path;

use super::{Comparison, File, Foreign, Found, Ledger, TOOLS, Tool, place};
use crate::{
    error::{Finding, Result, Severity},
    postgres::Session,
    source::Folder,
};

/// A version of so many digits is a time, which no two folders share by chance.
const CERTAIN_DIGITS: usize = 8;

/// What is to be said of other tools whose tables tell that migrations of this folder are applied. It blocks where that is certain; numbers
/// alone may be the same by chance.
///
/// # Errors
/// When the catalog or the files cannot be read; a table that cannot be read tells nothing.
pub(crate) async fn others(session: &Session, configured: &str, folder: &Folder, dir: &Path) -> Result<Vec<Finding>> {
    let names: Vec<String> = TOOLS.iter().map(|tool| tool.shape().table.to_owned()).collect();
    let tables = place::tables(session, &names).await?;
    let mut findings = Vec::new();
    if tables.is_empty() {
        return Ok(findings);
    }
    let files = Found::in_folder(folder, dir)?.files;
    for &tool in TOOLS.iter().filter(|tool| !tool.has_own_scripts()) {
        let shape = tool.shape();
        let schemas = place::schemas(session, configured, shape.schema).await?;
        let is_it =
            |place: &&place::Place| place.table == shape.table && schemas.contains(&place.schema) && place.fits(&shape);
        let Some(place) = tables.iter().find(is_it) else { continue };
        let ledger = match tool.read(session, place).await {
            Ok(ledger) => tool.completed(ledger, &files, dir),
            Err(error) => {
                tracing::debug!(%error, table = place.name(), "the table of another tool could not be read");
                continue;
            }
        };
        findings.extend(finding(tool, &place.name(), &ledger, &files));
    }
    Ok(findings)
}

fn finding(tool: &dyn Tool, table: &str, ledger: &Ledger, files: &[File]) -> Option<Finding> {
    let pairs = ledger.rows.iter().filter_map(|row| Some((row, files.iter().find(|file| tool.is(row, file))?)));
    let pairs: Vec<(&Foreign, &File)> = pairs.collect();
    let (first, _) = pairs.first()?;
    let certain = pairs.iter().any(|(row, file)| is_certain(tool, row, file, files));
    let severity = if certain { Severity::Block } else { Severity::Warn };
    let n = pairs.len();
    let what = format!(
        "{} has applied {} of these migrations, as `{table}` tells, and Lockgate has no history here: they would run again",
        tool.name(),
        if n == 1 { format!("`{}`", first.name) } else { n.to_string() }
    );
    Some(Finding::new(severity, "other-history", what).hint(format!(
        "take them over first: `lockgate adopt --from {}`; or rename that table, if it is not about this folder",
        tool.name()
    )))
}

fn is_certain(tool: &dyn Tool, row: &Foreign, file: &File, files: &[File]) -> bool {
    let digits = row.version.as_ref().map_or(0, |version| version.as_str().len());
    row.version.is_none() || digits >= CERTAIN_DIGITS || tool.compare(row, file, files) == Comparison::Same
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};
    use crate::adopt::tool;

    fn severity(name: &str, row: Foreign, file: File) -> Option<Severity> {
        let ledger = Ledger { rows: vec![row], ..Ledger::default() };
        finding(tool(name).unwrap(), "public.t", &ledger, &[file]).map(|finding| finding.severity)
    }

    #[test]
    fn numbers_alone_warn_and_everything_else_blocks() {
        let of = |version: &str, name: &str| file(version, name, b"abc");
        assert_eq!(severity("goose", Foreign::of_version("1"), of("001", "001_a.sql")), Some(Severity::Warn));
        assert_eq!(severity("goose", Foreign::of_version("2"), of("001", "001_a.sql")), None);
        let time = "20240101000001";
        assert_eq!(
            severity("dbmate", Foreign::of_version(time), of(time, "20240101000001_a.sql")),
            Some(Severity::Block)
        );
        let named = Foreign::named("1_init");
        assert_eq!(severity("prisma", named, of("1", "1_init/migration.sql")), Some(Severity::Block));
        let crc = Foreign { checksum: Some("891568578".into()), ..Foreign::of_version("1") };
        assert_eq!(severity("flyway", crc, of("1", "V1__a.sql")), Some(Severity::Block));
    }
}
