//! Whether another tool has migrated the database that a first run is about to migrate.

use super::{Comparison, File, Foreign, Found, Ledger, TOOLS, Tool, place};
use crate::{
    config::Config,
    error::{Finding, Result, Severity},
    postgres::Session,
    source::Folder,
};

/// A version of so many digits is a time, which no two folders share by chance.
const CERTAIN_DIGITS: usize = 8;

/// What is to be said of other tools whose tables tell that migrations of this folder are applied, but for those that the operator calls
/// unrelated to it. It blocks where that is certain; numbers alone may be the same by chance.
///
/// # Errors
/// When the catalog or the files cannot be read; a table that cannot be read tells nothing.
pub(crate) async fn others(session: &Session, folder: &Folder, config: &Config) -> Result<Vec<Finding>> {
    let (configured, dir) = (config.schema.as_str(), config.dir.as_path());
    let names: Vec<String> = TOOLS.iter().map(|tool| tool.shape().table.to_owned()).collect();
    let tables = place::tables(session, &names).await?;
    let mut findings = Vec::new();
    if tables.is_empty() {
        return Ok(findings);
    }
    let files = Found::in_folder(folder, dir)?.files;
    for &tool in
        TOOLS.iter().filter(|tool| !tool.has_own_scripts() && !config.unrelated.iter().any(|name| name == tool.name()))
    {
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
        findings.extend(finding(tool, &place.name(), &ledger, &files, folder.layout));
    }
    Ok(findings)
}

fn finding(tool: &dyn Tool, table: &str, ledger: &Ledger, files: &[File], layout: &str) -> Option<Finding> {
    let pairs = ledger.rows.iter().filter_map(|row| Some((row, files.iter().find(|file| tool.is(row, file))?)));
    let pairs: Vec<(&Foreign, &File)> = pairs.collect();
    let is_its_own = is_layout_of(tool, layout);
    let all_agree = pairs.len() == ledger.rows.len();
    let (certain, what) = match (pairs.first(), ledger.refused.first()) {
        (None, Some(problem)) if is_its_own => (true, format!("has left something unfinished ({})", problem.what)),
        (None, _) => return None,
        (Some((first, _)), unfinished) => {
            let certain = unfinished.is_some()
                || (is_its_own && all_agree)
                || pairs.iter().any(|(row, file)| is_certain(tool, row, file, files));
            let n = pairs.len();
            let which = if n == 1 { format!("`{}`", first.name) } else { n.to_string() };
            (certain, format!("has applied {which} of these migrations"))
        }
    };
    let severity = if certain { Severity::Block } else { Severity::Warn };
    let name = tool.name();
    let message = format!("{name} {what}, as `{table}` tells, and Lockgate has no history here: they would run again");
    Some(Finding::new(severity, "other-history", message).hint(format!(
        "take them over first: `lockgate adopt --from {name}`; or say that the table is not about this folder: `--unrelated {name}`"
    )))
}

/// Whether a folder of this layout is as the tool wants it.
fn is_layout_of(tool: &dyn Tool, layout: &str) -> bool {
    match tool.name() {
        "golang-migrate" => layout == "pairs",
        "sqlx" => ["pairs", "single"].contains(&layout),
        "refinery" => layout == "flyway",
        "graphile" => layout == "graphile-migrate",
        "liquibase-sql" => layout == "liquibase",
        name => layout == name,
    }
}

fn is_certain(tool: &dyn Tool, row: &Foreign, file: &File, files: &[File]) -> bool {
    let digits = row.version.as_ref().map_or(0, |version| version.as_str().len());
    row.version.is_none() || digits >= CERTAIN_DIGITS || tool.compare(row, file, files) == Comparison::Same
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};
    use crate::{adopt::tool, error::Problem};

    fn severity(name: &str, row: Foreign, file: File) -> Option<Severity> {
        let ledger = Ledger { rows: vec![row], ..Ledger::default() };
        finding(tool(name).unwrap(), "public.t", &ledger, &[file], "single").map(|finding| finding.severity)
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
    #[test]
    fn numbers_block_in_a_folder_of_the_tools_own_layout_and_beside_something_unfinished() {
        let severity = |versions: &[&str], refused: Vec<Problem>, layout: &str| {
            let rows = versions.iter().map(|version| Foreign::of_version(version)).collect();
            let ledger = Ledger { rows, refused, ..Ledger::default() };
            let files = [file("001", "001_a.sql", b"a"), file("002", "002_b.sql", b"b")];
            finding(tool("tern").unwrap(), "public.t", &ledger, &files, layout).map(|finding| finding.severity)
        };
        let dirty = || vec![Problem::new("t", "dirty", "mend it")];
        assert_eq!(severity(&["2"], Vec::new(), "tern"), Some(Severity::Block));
        assert_eq!(severity(&["2"], Vec::new(), "goose"), Some(Severity::Warn));
        assert_eq!(severity(&["2", "3"], Vec::new(), "tern"), Some(Severity::Warn));
        assert_eq!(severity(&["2"], dirty(), "goose"), Some(Severity::Block));
        assert_eq!(severity(&["3"], dirty(), "tern"), Some(Severity::Block));
        assert_eq!(severity(&["3"], dirty(), "goose"), None);
    }
}
