//! How tools lay out a folder of migrations. A new layout is one file here, and its line in [`LAYOUTS`].

mod atlas;
mod dbmate;
mod diesel;
mod flyway;
mod goose;
mod graphile;
mod liquibase;
mod node_pg_migrate;
mod pairs;
mod prisma;
mod refinery;
mod single;
mod sqitch;
mod tern;

pub(crate) use self::liquibase::change_set;
pub(super) use self::pairs::is_part;
use super::{
    draft::{Body, Down, Draft, Scripts, Source},
    listing::Listing,
};
use crate::{error::Problem, migration::Version, sql::split::split};

/// One way to lay out a folder.
pub(super) trait Layout: Sync {
    /// Its name, as `layout` in `lockgate.toml` has it: the tool's.
    fn name(&self) -> &'static str;

    /// Whether the folder looks like this.
    fn recognises(&self, listing: &Listing) -> bool;

    /// Understands a file or a folder within.
    fn read(&self, listing: &Listing, found: &mut Found);
}

/// What a layout made of a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) drafts: Vec<Draft>,
    /// What belongs to no migration.
    pub(super) problems: Vec<Problem>,
    /// What keeps a version from being a migration, and counts unless it is applied.
    pub(super) of_versions: Vec<(Version, Problem)>,
}

/// Where several look right, the first one is taken: those with a mark of their own come before those that are told by names alone.
const LAYOUTS: [&dyn Layout; 14] = [
    &sqitch::Sqitch,
    &prisma::Prisma,
    &diesel::Diesel,
    &graphile::Graphile,
    &flyway::Flyway,
    &refinery::Refinery,
    &liquibase::Liquibase,
    &goose::Goose,
    &dbmate::Dbmate,
    &tern::Tern,
    &node_pg_migrate::NodePgMigrate,
    // It may hash the files of those before it.
    &atlas::Atlas,
    &single::Single,
    &pairs::Pairs,
];

/// The names that can be asked for.
pub(super) fn names() -> Vec<&'static str> {
    LAYOUTS.iter().map(|layout| layout.name()).collect()
}

/// The layout of this name, or the one that the folder seems to have.
pub(super) fn of(listing: &Listing, name: Option<&str>) -> &'static dyn Layout {
    let is_it = |layout: &&&'static dyn Layout| match name {
        Some(name) => layout.name() == name,
        None => layout.recognises(listing),
    };
    LAYOUTS.iter().find(is_it).copied().unwrap_or(&pairs::Pairs)
}

impl Found {
    /// Names something that is no migration. A program beside them that has no version (`embed.go`, `mod.rs`) is none for its tool either.
    fn stranger(&mut self, listing: &Listing, name: &str, form: &str) {
        const PROGRAMS: [&str; 12] = ["go", "rs", "java", "kt", "js", "cjs", "mjs", "ts", "py", "rb", "sh", "json"];
        let is_program = name.rsplit_once('.').is_some_and(|(_, ending)| PROGRAMS.contains(&ending));
        if name == atlas::SUM {
            return;
        }
        if is_program && !name.starts_with(|c: char| c.is_ascii_digit()) {
            return tracing::debug!(file = name, "it is no migration");
        }
        self.problems.push(Problem::new(
            listing.at(name),
            "the name is not one of a migration",
            format!(
                "name it {form}, or move it out of the folder; another layout is chosen by `layout` in lockgate.toml"
            ),
        ));
    }
}

/// `<version>_<description>`, or with a hyphen between; the description may be missing.
fn numbered(stem: &str) -> Option<(Version, &str)> {
    let (digits, words) = parted(stem)?;
    Some((Version::parse(digits)?, words))
}

/// The same in words.
fn parted(stem: &str) -> Option<(&str, &str)> {
    let digits = stem.bytes().take_while(u8::is_ascii_digit).count();
    let (version, rest) = stem.split_at(digits);
    match rest.chars().next() {
        _ if digits == 0 => None,
        None => Some((version, "")),
        Some('_' | '-') => Some((version, &rest[1..])),
        Some(_) => None,
    }
}

/// Whether a file `<version>….sql` has a line like this.
fn any_line(listing: &Listing, is_mark: impl Fn(&str) -> bool) -> bool {
    listing
        .files_of_tools()
        .filter(|name| name.ends_with(".sql") && name.starts_with(|c: char| c.is_ascii_digit()))
        .any(|name| listing.text(name).text.is_ok_and(|text| text.trim_start_matches('\u{feff}').lines().any(&is_mark)))
}

/// The files `<version>_<description>.sql` of a folder in which one file holds both ways; `read` understands one of them.
fn read_single_files(
    listing: &Listing,
    found: &mut Found,
    foreign: &[&str],
    read: impl Fn(&Source) -> Result<Scripts, (usize, String, String)>,
) {
    const FORM: &str = "`<version>_<description>.sql`";
    pairs::read_own(listing, found);
    for name in listing.files_of_tools() {
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        match (numbered(stem), ending) {
            (Some((version, description)), "sql") => {
                let source = Source::file(listing, name);
                let (scripts, problem) = match read(&source) {
                    Ok(scripts) => (scripts, None),
                    Err((line, what, next)) => {
                        let at = format!("{}:{}", listing.at(name), line + 1);
                        (Scripts::new(source.part(0..0), Down::Never), Some(Problem::new(at, what, next)))
                    }
                };
                let mut draft = Draft::sql(version, description, listing.filename(name), scripts).but(problem);
                if let Body::Sql(scripts) = &mut draft.body
                    && !draft.problems.is_empty()
                {
                    // What cannot be understood is still recognised again.
                    scripts.up = scripts.up.with_checksum(source.checksum().clone());
                }
                found.drafts.push(draft);
            }
            (Some((version, description)), ending) if foreign.contains(&ending) => {
                found.drafts.push(Draft::foreign(version, description, listing, name));
            }
            _ => found.stranger(listing, name, FORM),
        }
    }
    for folder in listing.folders() {
        found.problems.push(Problem::new(
            listing.at(folder),
            "a folder among the migrations, which are files",
            "move it elsewhere",
        ));
    }
}

/// Why a file cannot be taken: the first statement above the first of its marks, which the tool would not run either.
fn stray(file: &Source, mark: usize) -> Option<(usize, String, String)> {
    let above = file.part(0..mark);
    let statement = split(above.text()).statements.into_iter().next()?;
    let line = above.text()[..statement.start].matches('\n').count();
    Some((line, "a statement above the first mark".into(), "move it below, into the part that it belongs to".into()))
}

/// The lines of a text, with their numbers from 0, and how many there are.
fn lines(text: &str) -> (impl Iterator<Item = (usize, &str)>, usize) {
    let text = text.trim_start_matches('\u{feff}');
    (text.lines().enumerate(), text.lines().count())
}

/// What stands behind `--` and this word in a line, whatever the spaces; `None` for any other line.
fn after_mark<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    let rest = line.trim_start().strip_prefix("--")?.trim_start();
    let (head, rest) = rest.split_at_checked(mark.len())?;
    head.eq_ignore_ascii_case(mark).then(|| rest.trim())
}
