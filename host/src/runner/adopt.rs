//! Taking over what another tool has noted, in one transaction.

use std::{cell::Cell, path::PathBuf, time::Duration};

use serde::Serialize;
use uuid::Uuid;

use super::Run;
use crate::{
    adopt::{self, File, Found, Past, Place, Taken, Tool},
    config::Config,
    error::{Error, Finding, NOTHING_CHANGED, Result, Severity, Stage, blocks},
    failpoint::Failpoint,
    migration::{Direction, Version},
    plan,
    postgres::{
        Timeouts,
        history::{self, Adopted, Applied, Record},
        journal::{Entry, Event, Wanted},
        quote_literal, tables,
    },
    source::{self, Folder},
};

/// What is to be taken over, and how.
pub struct Order {
    tool: &'static dyn Tool,
    /// Where the scripts of a tool are that keeps them in folders of its own; `None`: in the folder of the migrations.
    pub scripts: Option<PathBuf>,
    /// The tool's table, where it has another name or is in a schema that is not looked into.
    pub table: Option<String>,
    /// Whether a table of the tool's that has the name of Lockgate's own is to be renamed.
    pub take_over: bool,
    /// Whether files that have changed since the tool applied them are taken as they are.
    pub accept_changed: bool,
}

impl Order {
    /// From the tool of this name.
    pub fn from_tool(name: &str) -> Option<Self> {
        let tool = adopt::tool(name)?;
        Some(Self { tool, scripts: None, table: None, take_over: false, accept_changed: false })
    }
}

/// What was taken over, or would be.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Adoption {
    /// The correlation id of its logs and journal entries.
    #[schemars(with = "String")]
    pub run_id: Uuid,
    /// The tool; `None` for a baseline.
    pub tool: Option<String>,
    /// Its table.
    pub table: Option<String>,
    /// The name that the table got, or would get, where it was in the way.
    pub renamed_to: Option<String>,
    /// The migrations, in order.
    pub migrations: Vec<TakenOver>,
    /// How many the history had already.
    pub present: usize,
    /// What is worth a look.
    pub findings: Vec<Finding>,
    /// The newest applied version after it.
    pub version: Option<Version>,
    /// The hash of the journal's last entry.
    pub journal_head: Option<String>,
    /// What comes next.
    pub next: String,
}

/// One of the migrations that were taken over.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct TakenOver {
    /// Its version.
    pub version: Version,
    /// What it is called.
    pub name: String,
    /// The file.
    pub filename: String,
    /// What it is made of.
    pub kind: String,
    /// When the tool applied it, RFC 3339, where it tells.
    pub applied_at: Option<String>,
    /// What is to be known of it.
    pub note: Option<String>,
}

impl TakenOver {
    pub(super) fn of(taken: &Taken) -> Self {
        Self { applied_at: taken.applied_at.clone(), note: taken.note.clone(), ..Self::of_file(&taken.file) }
    }

    pub(super) fn of_file(file: &File) -> Self {
        Self {
            version: file.version.clone(),
            name: file.name.clone(),
            filename: file.filename.clone(),
            kind: file.kind.clone(),
            applied_at: None,
            note: None,
        }
    }
}

/// What was found, before anything is written.
struct Look {
    place: Place,
    /// The name that the tool's table is to get.
    rename_to: Option<String>,
    agreement: adopt::Agreement,
}

/// Says what [`adopt`](fn@adopt) would do, and changes nothing.
///
/// # Errors
/// Whatever would keep it from being done.
pub async fn plan_adopt(config: &Config, run_id: Uuid, order: &Order) -> Result<Adoption> {
    let folder = source::of(config)?;
    let run = Run::begin(config, run_id).await?;
    // What is read belongs to one moment.
    run.session.batch("beginning a read-only transaction", "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ").await?;
    let look = run.look(&folder, order, Caution::Read).await;
    run.session.abort().await?;
    let look = look?;
    let applied = if look.rename_to.is_some() { Vec::new() } else { run.applied().await? };
    let version = newest(&applied, &look.agreement.taken);
    Ok(Adoption { version, ..run.adoption(&look, order) })
}

/// Takes over what a tool has noted: all of it, or nothing. What the history has already is left alone.
///
/// # Errors
/// [`Error::Adoption`] when it does not fit the files, [`Error::Refused`] when there is nothing to take over.
pub async fn adopt(config: &Config, run_id: Uuid, order: &Order) -> Result<Adoption> {
    let folder = source::of(config)?;
    let mut run = Run::begin(config, run_id).await?;
    run.refuse_standby()?;
    run.persistently(async |run| run.locked(async |run, _| run.adopt(&folder, order).await).await).await
}

/// How the tool's table is held while it is read.
#[derive(Clone, Copy)]
enum Caution {
    /// It is only looked at.
    Read,
    /// Nobody may write to it until the end of the transaction.
    Hold,
}

impl Run<'_> {
    async fn adopt(&self, folder: &Folder, order: &Order) -> Result<Adoption> {
        let look = self
            .in_one_transaction(async || {
                let look = self.look(folder, order, Caution::Hold).await?;
                if look.agreement.taken.is_empty() {
                    return Ok(look);
                }
                if let Some(name) = &look.rename_to {
                    self.history.set_aside(&self.session, name).await?;
                }
                let source = adopt::source(order.tool.name());
                let started = format!(
                    "adopt {source}: {} of `{}`{}",
                    count(look.agreement.taken.len()),
                    look.place.name(),
                    look.rename_to.as_ref().map_or(String::new(), |name| format!(", renamed to `{name}`")),
                );
                self.take_over(&look.agreement.taken, Event::Adopted, &started, &source).await?;
                Ok(look)
            })
            .await?;
        let version = plan::newest(&self.applied().await?).cloned();
        let journal_head = self.journal.head(&self.session).await?;
        Ok(Adoption { version, journal_head, ..self.adoption(&look, order) })
    }

    /// Writes the rows and the entries of the journal, in the open transaction.
    pub(super) async fn take_over(&self, taken: &[Taken], event: Event, started: &str, source: &str) -> Result<()> {
        const DOING: &str = "recording the migrations";
        tables::ensure_within(&self.session, &self.history).await?;
        Failpoint::TablesEnsured.pass();
        let rows: Vec<Adopted<'_>> = taken.iter().map(row).collect();
        let before = self.history.count_of_run(&self.session, self.run_id).await?;
        self.history.adopt(&self.session, self.run_id, &rows).await?;
        Failpoint::Saved.pass();
        let details: Vec<String> = taken
            .iter()
            .map(|taken| match &taken.note {
                Some(note) => format!("{source}, {note}"),
                None => source.to_owned(),
            })
            .collect();
        let finished = Entry::of(Event::RunFinished).took(self.started.elapsed());
        let mut entries = vec![Entry::of(Event::RunStarted).detail(started)];
        entries.extend(taken.iter().zip(&details).map(|(taken, detail)| {
            let duration = Duration::from_millis(taken.duration_ms.unsigned_abs());
            Entry::of(event).migration(&taken.file.version, Direction::Up).took(duration).detail(detail)
        }));
        entries.push(finished);
        self.journal.append_all(&self.session, &entries).await?;
        let written = self.history.count_of_run(&self.session, self.run_id).await? - before;
        if written != rows.len() {
            let why = format!("{written} rows of {} are in the history: a trigger keeps the others away", rows.len());
            return Err(Error::system(DOING, why));
        }
        Failpoint::Recorded.pass();
        Ok(())
    }

    /// Does something in a transaction, and tells a COMMIT whose answer was lost from what was not sent.
    pub(super) async fn in_one_transaction<T>(&self, work: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
        let committing = Cell::new(false);
        let done = self
            .session
            .durably(async || {
                let done = work().await?;
                committing.set(true);
                Ok(done)
            })
            .await;
        Failpoint::Committed.pass();
        match done {
            Err(_) if committing.get() && self.session.is_closed() => {
                Err(Error::AdoptionUnknown { run_id: self.run_id.to_string() })
            }
            done => done,
        }
    }

    /// Reads the tool's table and compares it with the files and the history, in the open transaction.
    async fn look(&self, folder: &Folder, order: &Order, caution: Caution) -> Result<Look> {
        let (session, tool) = (&self.session, order.tool);
        let columns = self.history.columns(session).await?;
        let in_the_way = !columns.is_empty() && !history::is_ours(columns.iter().map(String::as_str));
        let place = adopt::find(session, tool, self.history.schema(), order.table.as_deref()).await?;
        let has_our_name = place.schema == self.history.schema() && place.table == history::TABLE;
        let rename_to = match (in_the_way, has_our_name) {
            (false, _) => None,
            (true, true) if order.take_over => Some(adopt::set_aside(tool.name())),
            (true, true) => return Err(named_as_ours(&place, tool)),
            // It is another one's, and says so.
            (true, false) => self.history.is_there(session).await.map(|_| None)?,
        };
        let applied = match &rename_to {
            Some(name) => self.may_be_renamed(&place, name).await.map(|()| Vec::new())?,
            None => self.not_half_way().await?,
        };
        if let Caution::Hold = caution {
            self.hold(&place, tool, rename_to.is_some()).await?;
        }
        let ledger = tool.read(session, &place).await?;
        if ledger.is_empty() {
            return Err(Error::Refused {
                what: format!("the table `{}` of {} holds no applied migration", place.name(), tool.name()),
                next: "there is nothing to take over: `lockgate up` begins with the first".into(),
            });
        }
        let found = match tool.has_own_scripts() {
            true => {
                let scripts = order.scripts.as_deref().unwrap_or(&self.config.dir);
                Found::in_scripts(tool, scripts, folder, &applied)?
            }
            false if folder.problems.is_empty() => Found::in_folder(folder, &self.config.dir)?,
            false => return Err(Error::Folder(folder.problems.clone())),
        };
        let ledger = tool.completed(ledger, &found.files, &self.config.dir);
        let past = Past::of(tool.name(), &self.journal.last(session, Wanted::default()).await?);
        let planned = adopt::plan(tool, &ledger, &found.files, &applied, &past, order.accept_changed);
        let mut agreement = planned.map_err(|problems| {
            let (tool, table) = (tool.name().to_owned(), place.name());
            Error::Adoption { tool, table, problems }
        })?;
        self.keep_those_of_others(&applied, &mut agreement);
        Ok(Look { place, rename_to, agreement })
    }

    /// Whether the tool's table can get this name: a dry run promises nothing that fails.
    async fn may_be_renamed(&self, place: &Place, name: &str) -> Result<()> {
        let sql = format!(
            "SELECT pg_has_role(relowner, 'USAGE'), pg_get_userbyid(relowner), to_regclass({}) IS NULL
             FROM pg_catalog.pg_class WHERE oid = {}::regclass",
            quote_literal(&place.beside(name)),
            quote_literal(&place.quoted())
        );
        let row =
            self.session.texts("looking whether the table of the other tool can be renamed", &sql).await?.concat();
        let is = |i: usize| row.get(i).and_then(Option::as_deref);
        let elsewhere = "or leave it there and keep Lockgate's own in another schema (`--schema lockgate`)";
        if is(0) != Some("t") {
            let owner = is(1).unwrap_or_default();
            return Err(Error::Refused {
                what: format!(
                    "the table `{}` is of the role `{owner}`, and only its owner may rename it",
                    place.name()
                ),
                next: format!("run this as `{owner}` (`--role {owner}` for a member of it); {elsewhere}"),
            });
        }
        if is(2) != Some("t") {
            return Err(Error::Refused {
                what: format!(
                    "the table `{}` cannot be renamed: there is a `{}.{name}` already",
                    place.name(),
                    place.schema
                ),
                next: format!("look whose that is, and rename or remove it; {elsewhere}"),
            });
        }
        Ok(())
    }

    /// What this very run has written before it lost its connection is what it did.
    fn keep_those_of_others(&self, applied: &[Applied], agreement: &mut adopt::Agreement) {
        let run_id = self.run_id.to_string();
        let is_ours = |file: &File| applied.iter().any(|row| row.version == file.version && row.run_id == run_id);
        let (ours, others) = std::mem::take(&mut agreement.present).into_iter().partition(is_ours);
        agreement.present = others;
        agreement.written = ours;
    }

    /// Stops a first run that would do again what another tool has done.
    pub(super) async fn refuse_other_histories(&self, folder: &Folder) -> Result<()> {
        // Once there is a history, an empty one is one that was taken back.
        if self.history.is_there(&self.session).await? {
            return Ok(());
        }
        let findings = adopt::others(&self.session, folder, self.config).await?;
        if blocks(&findings) {
            return Err(Error::Checks { stage: Stage::HostPreflight, findings, state: NOTHING_CHANGED.into() });
        }
        for finding in findings {
            tracing::warn!(next = finding.hint, "{}", finding.message);
        }
        Ok(())
    }

    /// The history, unless a migration is half applied.
    pub(super) async fn not_half_way(&self) -> Result<Vec<Applied>> {
        if let Some(started) = self.progress.read(&self.session).await? {
            return Err(Error::Refused {
                what: format!("migration `{}` has begun and not ended", started.name()),
                next: "finish it first: `lockgate status` shows how".into(),
            });
        }
        self.applied().await
    }

    pub(super) fn refuse_standby(&self) -> Result<()> {
        if !self.session.server.in_recovery {
            return Ok(());
        }
        let what = "the server is a standby, which cannot be written to".to_owned();
        Err(Error::Refused { what, next: "connect to its primary".into() })
    }

    /// Keeps everybody else from writing to the tool's table, where the role may.
    async fn hold(&self, place: &Place, tool: &dyn Tool, whole: bool) -> Result<()> {
        const DOING: &str = "locking the table of the other tool";
        let table = place.quoted();
        let may = format!("SELECT has_table_privilege({}, 'UPDATE')", quote_literal(&table));
        if self.session.texts(DOING, &may).await?.concat() != [Some("t".to_owned())] {
            return Ok(());
        }
        let Timeouts { lock, .. } = self.config.timeouts;
        let mode = if whole { "ACCESS EXCLUSIVE" } else { "SHARE" };
        let sql = format!("SET LOCAL lock_timeout = {}; LOCK TABLE {table} IN {mode} MODE", lock.as_millis());
        self.session.batch(DOING, &sql).await.map_err(|error| match error {
            Error::Database { error, .. } if error.is("55P03") => Error::Refused {
                what: format!("another session uses the table `{}`: {} may be running", place.name(), tool.name()),
                next: format!("wait for its end, and let nobody run {} any more", tool.name()),
            },
            error => error,
        })
    }

    fn adoption(&self, look: &Look, order: &Order) -> Adoption {
        let agreement = &look.agreement;
        let works_on_ours =
            look.rename_to.as_ref().filter(|_| order.tool.works_on_ours()).map(|_| works_on_ours(order.tool));
        let written = agreement.written.iter().map(TakenOver::of_file);
        let migrations: Vec<TakenOver> = written.chain(agreement.taken.iter().map(TakenOver::of)).collect();
        let next = match (order.tool.has_own_scripts(), migrations.last()) {
            (true, Some(last)) => format!(
                "`lockgate status` shows them; migrations of the folder take numbers above {}, and {} is not to be run any more",
                last.version,
                order.tool.name()
            ),
            _ => format!(
                "`lockgate status` shows them, `lockgate up` applies what is pending; {} is not to be run any more",
                order.tool.name()
            ),
        };
        Adoption {
            run_id: self.run_id,
            tool: Some(order.tool.name().to_owned()),
            table: Some(look.place.name()),
            renamed_to: look.rename_to.clone(),
            migrations,
            present: agreement.present.len(),
            findings: agreement.findings.iter().cloned().chain(works_on_ours).collect(),
            version: None,
            journal_head: None,
            next,
        }
    }
}

fn row(taken: &Taken) -> Adopted<'_> {
    let file = &taken.file;
    Adopted {
        record: Record {
            version: &file.version,
            filename: &file.filename,
            description: &file.description,
            kind: &file.kind,
            checksum: &file.checksum,
            up_script: file.up_script.as_deref(),
            down_script: file.down_script.as_deref(),
            execution_time_ms: taken.duration_ms,
            backup_id: None,
        },
        applied_at: taken.applied_at.as_deref(),
    }
}

fn named_as_ours(place: &Place, tool: &dyn Tool) -> Error {
    let elsewhere = "leave it there and keep Lockgate's own in another schema (`--schema lockgate`, with every command, or \
                     `schema = \"lockgate\"` in lockgate.toml)";
    let renamed = format!("let it be renamed to `{}`, and kept (`--take-over`)", adopt::set_aside(tool.name()));
    Error::Refused {
        what: format!("the table `{}` of {} has the name of Lockgate's own", place.name(), tool.name()),
        next: if tool.works_on_ours() {
            format!("{elsewhere}; or {renamed}: {} then works on Lockgate's own where anybody runs it", tool.name())
        } else {
            format!("{renamed}; or {elsewhere}")
        },
    }
}

/// The other tool does not fail beside Lockgate's table, but writes to it.
fn works_on_ours(tool: &dyn Tool) -> Finding {
    let name = tool.name();
    let message = format!(
        "{name} takes Lockgate's own `{}` for its table: where anybody runs it again, it applies and rolls back migrations past Lockgate",
        history::TABLE
    );
    Finding::new(Severity::Warn, "works-on-ours", message).hint(format!(
        "see that nobody runs {name} any more, or take the right to write to the table from its role; with `--schema lockgate` instead of \
         `--take-over` both tables stay apart"
    ))
}

/// The newest version once these are in the history.
pub(super) fn newest(applied: &[Applied], taken: &[Taken]) -> Option<Version> {
    let taken = taken.iter().map(|taken| &taken.file.version).filter(|version| !version.is_repeatable());
    plan::newest(applied).into_iter().chain(taken).max().cloned()
}

/// `1 migration`, `2 migrations`.
pub(super) fn count(n: usize) -> String {
    format!("{n} migration{}", if n == 1 { "" } else { "s" })
}
