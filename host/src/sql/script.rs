//! A SQL script: checked whole before anything of it is sent, and then sent as the server takes it.

mod errors;
mod steps;

use std::{
    borrow::Cow,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::{
    control::controlled,
    directives::Directives,
    guard::{self, Rule},
    include,
    outside::Place,
    places::{Places, Spot, Walk},
    psql::{self, Command},
    split::{Fault, Split, Statement, split},
};
use crate::error::{Excerpt, Problem};

/// Where a script came from, which decides how it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file that the team wrote: sent whole, in one message, but for the data of a `COPY`.
    File(PathBuf),
    /// The plan of a component: one statement a message, in the extended protocol, which refuses a second one.
    Plugin,
    /// The history: a down script that was stored when the migration was applied.
    History(String),
}

/// A script and its statements. To clone it is cheap: the text and what was understood of it are shared.
#[derive(Debug, Clone)]
pub struct Script {
    /// Where it came from.
    pub origin: Origin,
    text: Arc<str>,
    places: Places,
    statements: Arc<[Statement]>,
    /// Stretches of the text that are not sent: a `BEGIN` and its `COMMIT` that are the host's, commands for psql alone.
    unsent: Vec<Range<usize>>,
    /// Statements that share a transaction in a script without one, by their numbers.
    groups: Vec<Range<usize>>,
    directives: Directives,
    /// Where each statement can run, once that was asked.
    runs: Arc<OnceLock<Vec<Place>>>,
}

/// What is sent of a script in one piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Parcel<'a> {
    /// Statements, in one message.
    Sql {
        /// The number of the first.
        first: usize,
        /// The byte of the script at which the message begins.
        base: usize,
        /// The message.
        sql: Cow<'a, str>,
    },
    /// A `COPY … FROM STDIN`, by its number, and its data.
    Copy {
        /// The number of the statement.
        statement: usize,
        /// The statement.
        sql: &'a str,
        /// The data.
        data: &'a str,
    },
}

/// Something that makes a script unfit: at which byte, what, and what to do.
struct Objection {
    at: usize,
    what: String,
    next: String,
}

impl Script {
    /// Understands a script.
    ///
    /// # Errors
    /// All that makes the script unfit to run in the host's transaction, with its place: a string or comment without an end, a psql
    /// command, a statement that would end the transaction.
    pub fn parse(text: &str, origin: Origin) -> Result<Self, Vec<Problem>> {
        Self::parse_with(text, origin, Directives::default())
    }

    /// The same for a script of which something else than its own comments says how it is run.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with(text: &str, origin: Origin, directives: Directives) -> Result<Self, Vec<Problem>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self::build(text.into(), Places::default(), origin, directives)
    }

    /// Reads a file with all that it includes from below the folder `root`. Beside the script, its text as it is to be kept: the
    /// file's, or where it includes others, with theirs in it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or that a file cannot be read or included.
    pub fn read(path: &Path, root: &Path) -> Result<(Self, Arc<str>), Vec<Problem>> {
        match include::read(path) {
            Ok(text) => Self::parse_file(&text.into(), path, root, Directives::default()),
            Err(e) => {
                let at = path.display().to_string();
                Err(vec![Problem::new(at, format!("it cannot be read: {e}"), "save it as UTF-8 text")])
            }
        }
    }

    /// The same for the text of a file that has been read, or for a section of one, in which all else is blank but for the ends of its lines.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse_file(
        text: &Arc<str>,
        path: &Path,
        root: &Path,
        directives: Directives,
    ) -> Result<(Self, Arc<str>), Vec<Problem>> {
        let bare = text.strip_prefix('\u{feff}').map_or_else(|| Arc::clone(text), Arc::from);
        let spliced = include::splice(&bare, path, root)?;
        let kept = Arc::clone(if spliced.places.is_whole() { text } else { &spliced.text });
        Self::build(spliced.text, spliced.places, Origin::File(path.to_owned()), directives)
            .map(|script| (script, kept))
    }

    /// A part of a script that was checked, as it was kept. Nothing where it could not be one.
    pub fn kept(text: &str, origin: Origin, places: Places) -> Option<Self> {
        let rule = if origin == Origin::Plugin { Rule::Guest } else { Rule::Script };
        let Split { statements, commands, faults, .. } = split(text);
        let fit = commands.is_empty() && faults.is_empty();
        (fit && statements.iter().all(|statement| guard::check(statement, rule).is_ok())).then(|| Self {
            origin,
            text: text.into(),
            places,
            statements: statements.into(),
            unsent: Vec::new(),
            groups: Vec::new(),
            directives: Directives::default(),
            runs: Arc::default(),
        })
    }

    fn build(text: Arc<str>, places: Places, origin: Origin, others: Directives) -> Result<Self, Vec<Problem>> {
        let Split { statements, commands, notes, faults } = split(&text);
        let mut objections = Vec::new();
        let mut object =
            |at: usize, what: String, next: &str| objections.push(Objection { at, what, next: next.to_owned() });
        if let Some(at) = text.find('\0') {
            object(at, "a NUL character, which PostgreSQL does not take".into(), "save it as UTF-8 text");
        }
        for (at, fault) in faults {
            let (what, next) = told(fault);
            object(at, what.into(), next);
        }
        let mut unsent = Vec::new();
        for command in commands {
            match psql::understand(&text[command.range.clone()]) {
                Command::LeftOut if !command.amid && origin != Origin::Plugin => unsent.push(command.range),
                Command::Refused { name, next } => {
                    object(
                        command.range.start,
                        format!("`{name}` is a psql command, which the server does not know"),
                        next,
                    );
                }
                _ => {
                    let what =
                        "a psql command that does not stand alone on a line between two statements, or not in a file";
                    object(command.range.start, what.into(), "give it a line of its own, behind a semicolon");
                }
            }
        }
        let mut directives = Directives::default();
        for note in notes {
            if let Some(directive) = Directives::in_comment(&text[note.range.clone()])
                && let Err(refused) = directives.take(directive, note.in_head)
            {
                object(note.range.start, refused.what, refused.next);
            }
        }
        let directives = directives.or(others);
        let (statements, groups, runs) = (statements.into(), Vec::new(), Arc::default());
        let mut script = Self { origin, text, places, statements, unsent, groups, directives, runs };
        if script.origin == Origin::Plugin {
            objections.extend(script.refused(Rule::Guest));
        } else {
            objections.extend(script.take_control());
            objections.extend(script.refused(Rule::Script));
            objections.extend(script.unfit_in_parts());
            objections.extend(script.labels_used());
        }
        if objections.is_empty() { Ok(script) } else { Err(script.problems(objections)) }
    }

    /// Leaves the statements out that control transactions, as far as the host does what they ask for.
    fn take_control(&mut self) -> Vec<Objection> {
        let found = controlled(&self.statements, &self.text, self.directives.no_transaction);
        let mut left_out = found.left_out;
        // What is refused here is not to be refused again for its words.
        let again = |n: &usize| guard::check(&self.statements[*n], Rule::Script).is_err();
        left_out.extend(found.refused.iter().map(|(n, ..)| *n).filter(again));
        left_out.sort_unstable();
        left_out.dedup();
        let objection = |(n, what, next): (usize, String, &str)| Objection {
            at: self.statements[n].start,
            what,
            next: next.to_owned(),
        };
        let objections = found.refused.into_iter().map(objection).collect();
        let before = |n: usize| left_out.partition_point(|out| *out < n);
        self.groups = found.groups.into_iter().map(|g| g.start - before(g.start)..g.end - before(g.end)).collect();
        self.groups.retain(|group| !group.is_empty());
        self.unsent.extend(left_out.iter().map(|n| self.statements[*n].start..self.statements[*n].stop));
        self.unsent.sort_unstable_by_key(|range| range.start);
        if !left_out.is_empty() {
            let kept = self.statements.iter().enumerate().filter(|(n, _)| left_out.binary_search(n).is_err());
            self.statements = kept.map(|(_, statement)| statement.clone()).collect();
        }
        objections
    }

    fn refused(&self, rule: Rule) -> Vec<Objection> {
        let refused = |statement: &Statement| {
            let refusal = guard::check(statement, rule).err()?;
            Some(Objection { at: statement.start, what: refusal.to_string(), next: refusal.next().to_owned() })
        };
        self.statements.iter().filter_map(refused).collect()
    }

    fn problems(&self, mut objections: Vec<Objection>) -> Vec<Problem> {
        objections.sort_by_key(|objection| objection.at);
        let mut walk = self.walk();
        objections
            .into_iter()
            .map(|Objection { at, what, next }| Problem {
                excerpt: Excerpt::of(&self.text, at),
                ..Problem::new(self.origin.place(&walk.to(at)), what, next)
            })
            .collect()
    }

    /// The whole text.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The text as it is sent, but for the data of a `COPY`, which go by themselves.
    pub fn sent_text(&self) -> Cow<'_, str> {
        self.sent(0..self.text.len())
    }

    /// The text as it is to be kept for later: what is asked for it elsewhere than in its text stands at its top.
    pub fn to_keep(&self) -> Arc<str> {
        const SAID: &str = "-- lockgate: no-transaction\n";
        let says_so = |text: &str| {
            let alone = Self::parse(text, Origin::History(String::new()));
            alone.is_ok_and(|script| script.directives.no_transaction)
        };
        if !self.directives.no_transaction || says_so(&self.text) {
            return Arc::clone(&self.text);
        }
        // A section of a file has empty lines above it; the first gives way, so that the others keep their numbers.
        format!("{SAID}{}", self.text.strip_prefix('\n').unwrap_or(&self.text)).into()
    }

    /// Where it came from, stretch by stretch.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The files that it includes, each as often as it stands in it.
    pub fn included(&self) -> impl Iterator<Item = &Path> {
        let mut last = None;
        let files = self.places.stretches().iter().map(|stretch| stretch.file.as_deref());
        files.filter(move |file| std::mem::replace(&mut last, *file) != *file).flatten()
    }

    /// What it asks for in its head.
    pub fn directives(&self) -> &Directives {
        &self.directives
    }

    /// The script in the pieces in which it is sent: one, unless there are data in it.
    pub fn parcels(&self) -> Vec<Parcel<'_>> {
        let (mut parcels, mut base, mut first) = (Vec::new(), 0, 0);
        for (n, statement) in self.statements.iter().enumerate() {
            let Some(data) = &statement.data else { continue };
            if n > first {
                parcels.push(Parcel::Sql { first, base, sql: self.sent(base..statement.start) });
            }
            let (sql, data) = (&self.text[statement.start..statement.end], &self.text[data.clone()]);
            parcels.push(Parcel::Copy { statement: n, sql, data });
            (base, first) = (statement.stop, n + 1);
        }
        if first < self.statements.len() || parcels.is_empty() {
            parcels.push(Parcel::Sql { first, base, sql: self.sent(base..self.text.len()) });
        }
        parcels
    }

    /// Whether it can be sent as one message: there are no data in it, which go by themselves.
    pub fn is_one_message(&self) -> bool {
        self.statements.iter().all(|statement| statement.data.is_none())
    }

    /// The whole script as one message, where it can be sent so.
    pub fn message(&self) -> Option<Cow<'_, str>> {
        self.is_one_message().then(|| self.sent_text())
    }

    /// A stretch of the text as it is sent: what is left out has become spaces, so that every character stays where it is.
    fn sent(&self, range: Range<usize>) -> Cow<'_, str> {
        let first = self.unsent.partition_point(|out| out.end <= range.start);
        let mut outs = self.unsent[first..].iter().take_while(|out| out.start < range.end).peekable();
        if outs.peek().is_none() {
            return Cow::Borrowed(&self.text[range]);
        }
        let (mut sent, mut at) = (String::with_capacity(range.len()), range.start);
        for out in outs {
            let (start, end) = (out.start.max(at), out.end.min(range.end));
            sent.push_str(&self.text[at..start]);
            sent.extend(self.text[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
        sent.push_str(&self.text[at..range.end]);
        Cow::Owned(sent)
    }

    fn sql(&self, statement: &Statement) -> &str {
        &self.text[statement.start..statement.end]
    }

    /// The statements in order, each with its text.
    pub fn statements(&self) -> impl Iterator<Item = (&Statement, &str)> {
        self.statements.iter().map(|s| (s, self.sql(s)))
    }

    /// The file, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(path) => Some(path),
            _ => None,
        }
    }

    fn walk(&self) -> Walk<'_> {
        self.places.walk(&self.text)
    }

    /// `file:line:column` of a byte.
    fn place(&self, offset: usize) -> String {
        self.origin.place(&self.walk().to(offset))
    }

    /// `file:line:column` of a statement.
    pub fn place_of(&self, statement: &Statement) -> String {
        self.place(statement.start)
    }
}

fn told(fault: Fault) -> (&'static str, &'static str) {
    match fault {
        Fault::Text => ("a string that never ends", "close it"),
        Fault::Name => ("a quoted identifier that never ends", "close it"),
        Fault::Comment => ("a comment that never ends", "close it"),
        Fault::BehindCopy => (
            "something behind `COPY … FROM STDIN;`, whose data begin on the next line",
            "put it behind the data, after a line `\\.`",
        ),
    }
}

impl Origin {
    fn place(&self, spot: &Spot<'_>) -> String {
        let Spot { file, line, column } = spot;
        match (file, self) {
            (Some(path), _) => format!("{}:{line}:{column}", path.display()),
            (None, Self::File(path)) => format!("{}:{line}:{column}", path.display()),
            (None, Self::Plugin) => format!("a `sql` step of its plan, {line}:{column}"),
            (None, Self::History(version)) => {
                format!("the down script of `{version}` in the history, {line}:{column}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs, path::Path};

    use super::*;
    use crate::{
        error::{Cause, DbError, ProgramError},
        step::Step,
    };

    const FILE: &str = "m/001_a.up.sql";

    fn of_file(text: &str) -> Result<Script, Vec<Problem>> {
        Script::parse(text, Origin::File(FILE.into()))
    }

    fn refusals(text: &str) -> Vec<String> {
        match of_file(text) {
            Ok(_) => vec![],
            Err(problems) => problems.into_iter().map(|p| format!("{}: {}", p.at, p.what)).collect(),
        }
    }

    /// What a script is understood as: its steps with their statements and data, or all that speaks against it.
    fn understood(text: &str) -> String {
        let place = |at: &str| at.strip_prefix(FILE).unwrap_or(at).trim_start_matches(':').to_owned();
        let mut said = String::new();
        let script = match of_file(text) {
            Ok(script) => script,
            Err(problems) => {
                for Problem { at, what, next, .. } in problems {
                    writeln!(said, "refused {}: {what}\n  next: {next}", place(&at)).unwrap();
                }
                return said;
            }
        };
        for step in script.steps() {
            let (how, script) = match step {
                Step::Sql(script) => ("in a transaction", script),
                Step::Alone(script) => ("in a transaction of its own", script),
                Step::OutsideTransaction(step) => ("outside a transaction", step.statement),
                Step::Code(_) | Step::Batched(_) => unreachable!("no step of a script's"),
            };
            writeln!(said, "{how}").unwrap();
            for (statement, sql) in script.statements() {
                writeln!(said, "  {} {sql:?}", place(&script.place_of(statement))).unwrap();
                if let Some(data) = &statement.data {
                    writeln!(said, "    {} {:?}", place(&script.place(data.start)), &script.text[data.clone()])
                        .unwrap();
                }
            }
        }
        said
    }

    /// `tests/fixtures/scripts`: each case is a script, and beside it what it is to be understood as.
    #[test]
    fn what_is_asked_for_a_script_elsewhere_is_kept_with_it() {
        let asked = Directives { no_transaction: true, ..Directives::default() };
        let kept = |text: &str, asked| Script::parse_with(text, Origin::Plugin, asked).unwrap().to_keep();
        assert_eq!(&*kept("\n\nselect 1;", asked), "-- lockgate: no-transaction\n\nselect 1;");
        assert_eq!(&*kept("select 1;", asked), "-- lockgate: no-transaction\nselect 1;");
        let said = "-- lockgate: no-transaction\nselect 1;";
        assert_eq!(&*kept(said, Directives::default()), said);
        assert_eq!(&*kept("select 1;", Directives::default()), "select 1;");
    }

    #[test]
    fn scripts_are_understood_as_expected() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/scripts");
        let ending = |path: &Path, ending: &str| path.extension().is_some_and(|e| e == ending);
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let mut wrong = Vec::new();
        for path in paths.iter().filter(|path| ending(path, "sql")) {
            let understood = understood(&fs::read_to_string(path).unwrap());
            let beside = path.with_extension("expected");
            if std::env::var_os("UPDATE_EXPECTED").is_some() {
                fs::write(&beside, &understood).unwrap();
            }
            let expected = fs::read_to_string(&beside).unwrap_or_else(|_| panic!("{} says nothing", beside.display()));
            if understood != expected {
                wrong.push(format!("{}:\n{understood}\ninstead of\n{expected}", path.display()));
            }
        }
        for path in paths.iter().filter(|path| ending(path, "expected")) {
            assert!(path.with_extension("sql").is_file(), "{} is beside no script", path.display());
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(paths.len() >= 80, "cases are missing");
    }

    #[test]
    fn a_plan_of_a_component_may_not_touch_the_session() {
        for text in ["set role x", "begin", "savepoint a", "\\restrict x", "copy t from stdin;\n\\.\n"] {
            assert!(Script::parse(text, Origin::Plugin).is_err(), "{text}");
        }
        assert!(Script::parse("set role x", Origin::History("1".into())).is_ok());
    }

    #[test]
    fn statements_that_end_the_transaction_are_refused_with_their_line() {
        assert_eq!(
            refusals("create table t();\n  commit;"),
            ["m/001_a.up.sql:2:3: `COMMIT` would end the transaction that the host owns"]
        );
        for text in [
            "begin",
            "start transaction",
            "END",
            "rollback",
            "abort and chain",
            "savepoint a",
            "release a",
            "prepare transaction 'x'",
            "commit prepared 'x'",
        ] {
            assert_eq!(refusals(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn directives_are_known_or_refused() {
        let says = |text: &str| of_file(text).unwrap().directives().irreversible;
        assert!(says("-- lockgate: irreversible\nselect 1"));
        assert!(!says("select '-- lockgate: irreversible'"));
        assert_eq!(refusals("-- lockgate: ireversible"), ["m/001_a.up.sql:1:1: an unknown directive `ireversible`"]);
        assert_eq!(
            refusals("select 1;\n  -- lockgate: no-transaction"),
            [
                "m/001_a.up.sql:2:3: the directive `no-transaction` below the first statement, where it would be overlooked"
            ]
        );
    }

    #[test]
    fn what_a_layout_says_holds_as_what_the_text_says() {
        let apart = Directives { no_transaction: true, ..Directives::default() };
        let text = "\n\n-- lockgate: lock-timeout=5s\nselect 1;\nselect 2;\n\n";
        let script = Script::parse_with(text, Origin::File(FILE.into()), apart).unwrap();
        assert_eq!(script.steps().len(), 2);
        assert_eq!(script.directives().timeouts.lock_ms, Some(5_000));
    }

    #[test]
    fn what_is_left_out_leaves_every_character_where_it_is() {
        let text = "BEGIN /* é\n */;\nselect 1;\ncopy t from stdin;\n1\n\\.\nselect 2;\nCOMMIT;";
        let script = of_file(text).unwrap();
        let parcels = script.parcels();
        let [Parcel::Sql { first: 0, base: 0, sql }, copy, Parcel::Sql { first: 2, base, sql: rest }] = &*parcels
        else {
            panic!("{parcels:?}")
        };
        assert_eq!(sql, "          \n    \nselect 1;\n");
        assert_eq!(copy, &Parcel::Copy { statement: 1, sql: "copy t from stdin", data: "1\n" });
        assert_eq!((rest.as_ref(), &text[*base..*base + 8]), ("select 2;\n       ", "select 2"));
        assert!(matches!(
            &*of_file("select 1; select 2").unwrap().parcels(),
            [Parcel::Sql { sql: Cow::Borrowed(_), .. }]
        ));
    }

    fn failed(text: &str, statement: usize, error: DbError) -> (String, DbError) {
        let script = of_file(text).unwrap();
        let ProgramError { at, cause: Cause::Database(error) } = script.error(0, statement, error) else { panic!() };
        (at.unwrap(), *error)
    }

    #[test]
    fn an_error_points_to_its_character_or_its_statement() {
        let text = "select 1;\n\tselect é nope;";
        let (at, error) = failed(text, 1, DbError { position: Some(21), ..DbError::default() });
        assert_eq!(
            (at.as_str(), error.excerpt.unwrap().to_string()),
            ("m/001_a.up.sql:2:11", "\tselect é nope;\n\t         ^".into())
        );
        let (at, error) = failed(text, 1, DbError::default());
        assert_eq!((at.as_str(), error.excerpt.unwrap().before), ("m/001_a.up.sql:2:2", 1));
        let (at, error) = failed(text, 2, DbError::default());
        assert_eq!((at.as_str(), error.excerpt), ("m/001_a.up.sql", None));
    }

    #[test]
    fn the_line_of_a_block_is_one_of_the_file() {
        let text = "select 1;\ndo language 'plpgsql' $x$\nbegin\n  raise 'x';\nend $x$;";
        let context = Some("PL/pgSQL function inline_code_block line 3 at RAISE".to_owned());
        let (at, error) = failed(text, 1, DbError { context, ..DbError::default() });
        assert_eq!((at.as_str(), error.excerpt.unwrap().line.as_str()), ("m/001_a.up.sql:4:3", "  raise 'x';"));
        assert_eq!(error.context.unwrap(), "PL/pgSQL function inline_code_block line 3 (m/001_a.up.sql:4) at RAISE");
    }

    #[test]
    fn the_line_of_the_data_is_one_of_the_file() {
        let text = "copy t from stdin;\n1\nx\n\\.\n";
        let context = Some("COPY t, line 2, column a: \"x\"".to_owned());
        let (at, error) = failed(text, 0, DbError { context, ..DbError::default() });
        assert_eq!((at.as_str(), error.excerpt), ("m/001_a.up.sql:3:1", None));
        assert_eq!(error.context.unwrap(), "COPY t, line 2 (m/001_a.up.sql:3), column a: \"x\"");
    }

    #[test]
    fn a_part_keeps_places_and_text_through_the_history() {
        let text = "-- lockgate: no-transaction\nselect 1; begin; select 2;\n  savepoint a; commit;\n  select é nope;";
        let steps = of_file(text).unwrap().steps();
        let [Step::Alone(one), Step::Alone(two), Step::Alone(three)] = &*steps else { panic!("{steps:?}") };
        assert_eq!(
            (&**one.text(), &**two.text(), &**three.text()),
            ("select 1", "select 2;\n  savepoint a", "  select é nope")
        );
        for script in [one, two, three] {
            let kept = Script::kept(&script.sent_text(), script.origin.clone(), script.places().clone()).unwrap();
            let places = |script: &Script| script.statements().map(|(s, _)| script.place_of(s)).collect::<Vec<_>>();
            assert_eq!(places(&kept), places(script));
        }
        assert_eq!(two.statements().map(|(s, _)| two.place_of(s)).last().unwrap(), "m/001_a.up.sql:3:3");
        let error = three.error(0, 0, DbError { position: Some(12), ..DbError::default() });
        assert_eq!(error.at.as_deref(), Some("m/001_a.up.sql:4:12"));
        assert!(Script::kept("COMMIT", Origin::Plugin, Places::default()).is_none());
    }

    #[test]
    fn a_file_that_includes_others_is_kept_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let (root, path) = (folder.path(), folder.path().join("a.sql"));
        fs::write(&path, "\u{feff}select 1;\n\\i b.sql\nselect 3;").unwrap();
        fs::write(root.join("b.sql"), "\nselect 'nope").unwrap();
        let problems = Script::read(&path, root).unwrap_err();
        assert_eq!(problems[0].at, format!("{}:2:8", root.join("b.sql").display()));
        fs::write(root.join("b.sql"), "\nselect 2").unwrap();
        let (script, kept) = Script::read(&path, root).unwrap();
        assert_eq!(&*kept, "select 1;\n\nselect 2\n;\nselect 3;");
        assert_eq!(script.statements().count(), 3);
        assert_eq!(script.included().collect::<Vec<_>>(), [root.join("b.sql")]);
        let (_, kept) = Script::parse_file(&"\u{feff}select 1".into(), &path, root, Directives::default()).unwrap();
        assert_eq!(&*kept, "\u{feff}select 1", "the text of a file that includes none is its own");
    }

    /// To look at every byte again for each statement would take days.
    #[test]
    fn long_files_and_long_lines_are_worked_through_once() {
        let rows: String = (0..100_000).map(|n| format!("insert into t values ({n}, 'é; $$ -- ');")).collect();
        assert!(rows.len() > 4_000_000);
        let apart = format!("-- lockgate: no-transaction\n{rows}");
        let steps = of_file(&apart).unwrap().steps();
        let Some(Step::Alone(last)) = steps.last() else { panic!() };
        let place = last.place_of(last.statements().next().unwrap().0);
        assert_eq!((steps.len(), place), (100_000, format!("{FILE}:2:{}", rows.chars().count() - 41)));
        let lines = rows.replace(";insert", ";\ninsert");
        assert_eq!(of_file(&format!("{lines}{lines}")).unwrap().statements().count(), 200_000);
        let refused = lines.replace("insert into t", "commit");
        assert_eq!(of_file(&refused).unwrap_err().len(), 100_000);
        let copy = format!("copy t from stdin;\n{}\n\\.\n", "x\t'é;\n".repeat(1_500_000));
        assert_eq!(of_file(&copy).unwrap().parcels().len(), 1);
        let text = format!("select '{}'", "a''".repeat(2_000_000));
        assert_eq!(of_file(&text).unwrap().statements().count(), 1);
        let copies = "copy t from stdin; ".repeat(100_000);
        assert_eq!(of_file(&copies).unwrap_err().len(), 1);
    }
}
