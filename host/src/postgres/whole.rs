//! A migration of one script in one message: the beginning of its transaction, the script, the checks, and what history and journal have of it.
//! Only the COMMIT has a message of its own: it is sent when the checks have told that nothing is broken.
//!
//! Where another such migration follows, its message is sent right behind that COMMIT, and the server goes on without waiting for the host.
//! It begins by asking whether that COMMIT has taken place, and does nothing where it has not.
//!
//! Where several share a transaction, each has such a message, which sets the session to what it is at the beginning instead of beginning a
//! transaction.
//!
//! What the host asks in each such message is prepared once. Behind the script and what that has put off, the server itself looks whether the
//! transaction and the role are still the host's, and whether its tables were written to; it stops there if they are not. Nothing of the
//! migration's runs behind that: the host's tables are what they were, and run nothing but the host's; where they have more than the host has made,
//! nothing is prepared. What puts itself off once more finds the transaction read-only at its COMMIT.

use std::{
    collections::HashMap,
    ops::Range,
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::try_join_all;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{
    answers::{Answers, counts, text},
    handle::db_error,
    history::{History, Record},
    journal::{Entry, Journal},
    lock::LockKey,
    own::{OwnTables, OwnWrites, Signature, WrittenRows, is_plain_sql, signature_sql, writes_sql, written_sql},
    prepared::{GONE, Listed, PREPARED_SQL, name, pairs},
    quote_literal,
    session::{SETTLE_READ_ONLY, SYNCHRONOUS_COMMIT, Session, Timeouts, put_off_again},
    standing::{
        BEFORE, BEHIND, Broken, ROLES_SQL, SETTINGS_SQL, STANDING_COLUMNS, Standing, Transaction, standing_sql,
    },
};
use crate::{
    error::{DbError, Error, ProgramError},
    migration::{Direction, Version},
    sql::Script,
};

/// How long the message has taken so far, in milliseconds: for the server, all of it is one call of the client. Every type is said: a function of
/// somebody's that fits as well is not called.
const TOOK_SQL: &str =
    "pg_catalog.int8larger(0::pg_catalog.int8, (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
     pg_catalog.statement_timestamp()) OPERATOR(pg_catalog.*) 1000::pg_catalog.float8)::pg_catalog.int8)";

/// Where the transaction's own number is kept, for as long as it lasts.
const TRANSACTION: &str = "lockgate.transaction";

/// Where the migration's version is kept while the host asks: what is prepared without parameters is planned once.
const VERSION: &str = "lockgate.version";

/// Where the number of the transaction is kept behind whose COMMIT the session was set back last. What is set is undone with the transaction that
/// has set it, so no script can say so of a COMMIT that fails.
const SET_BACK: &str = "lockgate.set_back";

/// What fails where it is another's, and where there has been none.
const OF_ANOTHER: [&str; 2] = ["22012", "42704"];

/// There is no transaction: `no_active_sql_transaction`.
const NO_TRANSACTION: &str = "25P01";

/// There is no such table, or no such schema.
const NOT_THERE: [&str; 2] = ["42P01", "3F000"];

/// What the server says where the transaction or the role is not the host's any more.
const LOST_TRANSACTION: &str = "lockgate: the transaction is lost";
const LOST_ROLE: &str = "lockgate: the role is lost";
const WRITTEN: &str = "lockgate: its own tables are written to";

/// What is the same in all messages of a run in one direction.
pub struct Whole<'a> {
    /// Where it is recorded.
    pub history: &'a History,
    /// Where that is noted.
    pub journal: &'a Journal,
    /// The host's own tables.
    pub own: &'a OwnTables,
    /// The lock that the session holds.
    pub lock: LockKey,
    /// Which way.
    pub direction: Direction,
    /// Of which run.
    pub run_id: Uuid,
}

/// A migration.
pub struct Migration<'a> {
    /// How long its statements may wait and run.
    pub timeouts: Timeouts,
    /// What it does: a script that [`Script::message`] has.
    pub script: &'a Script,
    /// What the history has of it.
    pub record: Record<'a>,
    /// What the journal has of it, without the duration.
    pub entry: Entry<'a>,
    /// Whether a check of its own follows in the transaction.
    pub is_verified: bool,
}

impl Migration<'_> {
    fn version_sql(&self) -> String {
        format!("SET LOCAL {VERSION} = {}", quote_literal(self.record.version.as_str()))
    }
}

/// What came of it. Nothing is committed yet.
pub struct Ran {
    /// The rows that the script touched.
    pub rows: u64,
    /// What it took, in milliseconds.
    pub took_ms: u64,
    /// To be committed.
    pub transaction: Transaction,
    /// What the host has written of it, where it shares the transaction.
    pub written: Option<WrittenRows>,
}

/// Why it has come to nothing.
pub enum Stopped {
    /// The script was not begun, or what is prepared is gone or does not fit any more: it is to be done step by step.
    Unfit,
    /// The script failed.
    Script(ProgramError),
    /// What it had put off failed.
    PutOff(ProgramError),
    /// What it had put off once more failed, as it would have in the COMMIT.
    AtCommit(ProgramError),
    /// The session could not be set back before it.
    Begin(Error),
    /// The host could not record it.
    Record(&'static str, Error),
    /// It was sent behind a COMMIT that has not taken place.
    TooSoon,
    /// It touched what is not its own.
    Broken(Broken),
    /// The history does not have it as it was written.
    Unrecorded,
}

/// What is prepared in a session, for each direction; `None` where it is not to be.
#[derive(Default)]
pub(super) struct Prepared(Mutex<HashMap<Direction, Option<Arc<Questions>>>>);

impl Prepared {
    /// Some of it is gone, or does not fit: it is prepared anew when it is needed.
    fn forget(&self) {
        self.all().clear();
    }

    /// What is asked in this direction, if that is prepared.
    fn of(&self, direction: Direction) -> Option<Arc<Questions>> {
        self.all().get(&direction).cloned().flatten()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Direction, Option<Arc<Questions>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// More is not sent behind a COMMIT: it would take longer than the answer, which what is said next would have to wait for.
const AHEAD_MAX: usize = 64 * 1024;

/// The message that was sent behind the last COMMIT. Until it is taken, or its transaction is rolled back, the session is that transaction's.
#[derive(Default)]
pub(super) struct Ahead(Mutex<Option<(Version, Sent)>>);

impl Ahead {
    fn take(&self, version: &Version) -> Option<Sent> {
        self.sent().take_if(|(of, _)| of == version).map(|(_, sent)| sent)
    }

    /// Whether there is one.
    pub(super) fn is_under_way(&self) -> bool {
        self.sent().is_some()
    }

    /// Its transaction is about to be rolled back. Whether there was one.
    pub(super) fn forget(&self) -> bool {
        self.sent().take().is_some()
    }

    fn sent(&self) -> MutexGuard<'_, Option<(Version, Sent)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message of a migration.
pub struct Message {
    version: Version,
    sql: String,
    /// The transaction behind whose COMMIT it is to be sent.
    former: Option<String>,
    parts: Parts,
}

/// The transaction that a message is sent for.
enum Place<'a> {
    /// One of its own, behind the COMMIT of the former where there is one.
    Own(Option<&'a Transaction>),
    /// The one that is open. These statements set the session to what it is at the beginning of one.
    Shared {
        beginning: Vec<String>,
        /// Whether another migration has been recorded in it.
        written: bool,
    },
}

/// What a statement behind the script is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// What was put off.
    PutOff,
    /// The host's tables are not written to.
    Unwritten,
    /// How things stand, if the transaction and the role are the host's: nothing of the migration's runs when the host writes.
    Guard,
    History,
    Journal,
    /// What was put off once more.
    AtCommit,
    /// How things stand behind that.
    End,
    /// What is prepared.
    Prepared,
    /// What the host has written.
    Written,
    /// Something is set.
    Set,
}

/// What the answers to a message are understood by.
struct Parts {
    questions: Arc<Questions>,
    /// Whether its second statement asks for a COMMIT before it.
    follows: bool,
    /// The characters before the script.
    head: u32,
    /// The numbers of the script's statements.
    script: Range<usize>,
    /// What the statements behind it are for.
    behind: Vec<Behind>,
}

/// A message on its way. Its answers are read as they come, whatever else the host does meanwhile.
struct Sent {
    parts: Parts,
    answered: JoinHandle<(Answers, Result<(), DbError>)>,
}

impl Message {
    /// What is to be set behind the COMMIT when the session has been set back.
    pub(super) fn set_back_sql(&self) -> String {
        format!("SET {SET_BACK} = {}", quote_literal(self.former.as_deref().unwrap_or_default()))
    }

    /// Sends it behind a COMMIT that was sent just now.
    pub(super) async fn send_ahead(self, session: &Session) {
        let version = self.version.clone();
        let sent = self.send(session).await;
        *session.ahead.sent() = Some((version, sent));
    }

    async fn send(self, session: &Session) -> Sent {
        let Self { sql, parts, .. } = self;
        let bytes = sql.len();
        let asked = session.client().of(bytes).simple_query_raw(&sql).await.map_err(|e| db_error(&e));
        let open = session.handle().questions.clone();
        let mut answers = parts.answers();
        let answered = tokio::spawn(async move {
            let _open = open.ask().of(bytes);
            let answered = match asked {
                Ok(stream) => answers.of(stream).await,
                Err(error) => Err(error),
            };
            (answers, answered)
        });
        Sent { parts, answered }
    }
}

impl Sent {
    async fn answered(self) -> (Parts, Answers, Result<(), DbError>) {
        let Self { parts, answered } = self;
        match answered.await {
            Ok((answers, asked)) => (parts, answers, asked),
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The program ends.
                Err(_) => {
                    let lost = DbError { connection_lost: true, ..DbError::default() };
                    let answers = parts.answers();
                    (parts, answers, Err(lost))
                }
            },
        }
    }
}

/// What is asked in each message.
struct Questions {
    /// The end of their names.
    id: Uuid,
    /// A script finds their names, and can put others in their place.
    prepared: Listed,
    /// The signature of the host's own tables when they were prepared: every message must leave it as it is.
    signature: Signature,
}

impl Questions {
    fn name(&self, what: &str) -> String {
        name(self.id, what)
    }
}

/// What is prepared.
const PREPARED: [&str; 5] = ["begin", "guard", "unwritten", "record", "note"];

/// An expression that fails, and says what. Not before it is reached: it is no constant.
fn fail(what: &str) -> String {
    format!(
        "({} OPERATOR(pg_catalog.||) pg_catalog.pg_backend_pid()::pg_catalog.text)::pg_catalog.int4",
        quote_literal(&format!("{what} "))
    )
}

impl Whole<'_> {
    /// Prepares what is asked in each message; the last of the messages tells what was prepared, and what the host's own tables are. Each by
    /// itself, because the server keeps the text of the whole message with each.
    fn prepare_sql(&self, session: &Session, id: Uuid) -> Vec<String> {
        let oids = self.own.prepared_oids();
        let [history, journal, progress, _] = oids.each_ref().map(|oid| writes_sql(oid));
        let version = format!("pg_catalog.current_setting('{VERSION}')");
        let changed = match self.direction {
            Direction::Up => self.history.holds_sql(&version),
            Direction::Down => format!("NOT {}", self.history.holds_sql(&version)),
        };
        let roles = quote_literal(&session.roles());
        let is_ours = format!(
            "coalesce(pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text OPERATOR(pg_catalog.=)
                      pg_catalog.current_setting('{TRANSACTION}', true), false)"
        );
        let (lost, lost_role) = (fail(LOST_TRANSACTION), fail(LOST_ROLE));
        let begin = format!(
            "SELECT pg_catalog.set_config('{TRANSACTION}', pg_catalog.pg_current_xact_id()::pg_catalog.text, true),
                    {history}, {journal}, {progress}, {SETTINGS_SQL},
                    CASE WHEN {changed} THEN {lost} END, CASE WHEN NOT {} THEN {lost} END",
            self.lock.taken_sql(),
        );
        let guard = format!(
            "{}, {TOOK_SQL},
             CASE WHEN NOT {is_ours} THEN {lost} WHEN ({ROLES_SQL}) OPERATOR(pg_catalog.<>) {roles} THEN {lost_role} END",
            standing_sql(&oids),
        );
        let unwritten = format!("SELECT CASE WHEN {} THEN {} END", written_sql(&oids), fail(WRITTEN));
        let record = match self.direction {
            Direction::Up => self.history.recorded_sql(self.run_id, TOOK_SQL),
            Direction::Down => self.history.forget_sql(&version),
        };
        let note = self.journal.noted_sql(TOOK_SQL);
        let prepared = PREPARED.into_iter().zip([begin, guard, unwritten, record, note]);
        let prepared = prepared.map(|(what, sql)| format!("PREPARE {} AS {sql}", name(id, what)));
        // Planned here, once, and for catalogs that grow with every migration: as small as they are now, they would be read whole each time.
        let first = "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan".to_owned();
        let last = format!(
            "SET LOCAL {VERSION} = ''; EXPLAIN EXECUTE {}; EXPLAIN EXECUTE {}; COMMIT; {PREPARED_SQL}; SELECT {}, {}",
            name(id, "begin"),
            name(id, "guard"),
            signature_sql(&oids),
            is_plain_sql(&oids, self.history.schema()),
        );
        [first].into_iter().chain(prepared).chain([last]).collect()
    }

    /// Before the script; the last of them is the first question. Behind a COMMIT, it is asked whether that has taken place and the session was set
    /// back: not by what is prepared, which that transaction may have replaced at its very end.
    fn head(questions: &Questions, migration: &Migration<'_>, place: &Place<'_>) -> Vec<String> {
        let mut head = match place {
            Place::Own(former) => {
                let follows = former.map(|former| {
                    format!(
                        "SELECT 1 OPERATOR(pg_catalog./) (pg_catalog.current_setting('{SET_BACK}') OPERATOR(pg_catalog.=) {})::pg_catalog.int4",
                        quote_literal(&former.id)
                    )
                });
                let mut own: Vec<String> = ["BEGIN".to_owned()].into_iter().chain(follows).collect();
                own.extend(migration.timeouts.statements("SET LOCAL"));
                own.push(SYNCHRONOUS_COMMIT.to_owned());
                own
            }
            Place::Shared { beginning, .. } => beginning.clone(),
        };
        head.extend([migration.version_sql(), format!("EXECUTE {}", questions.name("begin"))]);
        head
    }

    /// Behind the script, which may have set what it likes. Where it has made the server forget its plans, what is asked is planned as it was at
    /// first.
    ///
    /// In a transaction that is shared, nothing is left to the COMMIT. Whether the host's tables were written to, no lock tells any more where
    /// another migration was recorded in it: that is found by comparing them before the COMMIT.
    fn tail(
        &self,
        session: &Session,
        questions: &Questions,
        migration: &Migration<'_>,
        place: &Place<'_>,
    ) -> Vec<(Behind, String)> {
        let execute = |what: &str| format!("EXECUTE {}", questions.name(what));
        let record = match self.direction {
            Direction::Up => {
                vec![(Behind::History, format!("{}({})", execute("record"), migration.record.arguments()))]
            }
            Direction::Down => vec![(Behind::Set, migration.version_sql()), (Behind::History, execute("record"))],
        };
        let (is_shared, is_written) = match place {
            Place::Own(_) => (false, false),
            Place::Shared { written, .. } => (true, *written),
        };
        // What of the migration's own is still to run is planned as the migration has it.
        let (before, behind): (&[&str], &[&str]) =
            if migration.is_verified || is_shared { (&BEFORE, &BEHIND) } else { (&BEFORE[1..], &[]) };
        let set = |sql: &&str| (Behind::Set, (*sql).to_owned());
        let mut tail = vec![(Behind::PutOff, "SET CONSTRAINTS ALL IMMEDIATE".to_owned())];
        if !is_written {
            // Before the guard takes locks of its own, all of which would be looked through.
            tail.push((Behind::Unwritten, execute("unwritten")));
        }
        tail.extend(before.iter().map(set));
        tail.push((Behind::Guard, execute("guard")));
        tail.extend(behind.iter().map(set));
        tail.extend(record);
        tail.push((Behind::Journal, format!("{}({})", execute("note"), migration.entry.arguments())));
        if is_shared {
            // What runs here may put back what it has changed above.
            let for_good = SETTLE_READ_ONLY.into_iter().chain(["DISCARD TEMP"]);
            tail.extend(for_good.map(|sql| (Behind::AtCommit, sql.to_owned())));
            tail.push((Behind::End, execute("guard")));
        }
        tail.push((Behind::Prepared, PREPARED_SQL.to_owned()));
        if is_shared {
            let written = session.written_statements(self.history, self.journal, migration.record.version);
            tail.extend(written.into_iter().map(|sql| (Behind::Written, sql)));
        }
        tail
    }

    /// What the host writes of a migration.
    pub fn writes(&self) -> OwnWrites {
        match self.direction {
            Direction::Up => OwnWrites { history_inserted: 1, journal: 1, ..OwnWrites::default() },
            Direction::Down => OwnWrites { history_deleted: 1, journal: 1, ..OwnWrites::default() },
        }
    }

    /// Prepares what is asked in each message, where that is not done yet, and outside a transaction. Whether that was possible.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn get_ready(&self, session: &Session) -> Result<bool, Error> {
        // What was sent ahead has begun already.
        if session.ahead.is_under_way() {
            return Ok(true);
        }
        let known = session.prepared.all().get(&self.direction).map(Option::is_some);
        let is_ready = match known {
            Some(is_ready) => is_ready,
            None => self.prepare(session).await.is_some(),
        };
        if known.is_none() && !is_ready {
            // What was to be prepared in a transaction of its own may have left that.
            session.abort().await?;
        }
        Ok(is_ready)
    }

    async fn prepare(&self, session: &Session) -> Option<Arc<Questions>> {
        // Step by step, the journal says why it is not written.
        if session.server.triggers_off {
            return None;
        }
        let id = Uuid::now_v7();
        let messages = self.prepare_sql(session, id);
        let asked = messages.iter().map(|sql| session.texts("preparing what is asked of each migration", sql));
        let answered = try_join_all(asked).await;
        let answered = answered.inspect_err(|error| tracing::debug!(%error, "migrations go step by step"));
        let mut rows = answered.ok()?.pop()?;
        let told = rows.pop()?;
        let (signature, is_plain) = (Signature::of(told.first()?.as_deref()?), told.get(1)?.as_deref() == Some("t"));
        let names = PREPARED.map(|what| name(id, what));
        let questions = match Listed::of(pairs(&rows), &names)? {
            prepared if is_plain && signature.is_as_made() => Some(Arc::new(Questions { id, prepared, signature })),
            _ => {
                tracing::debug!(
                    "the host's own tables have more than it has made, which may run when it writes: migrations go step by step"
                );
                let gone = names.map(|name| format!("DEALLOCATE {name}")).join("; ");
                session.batch("taking back what was prepared", &gone).await.ok()?;
                None
            }
        };
        session.prepared.all().insert(self.direction, questions.clone());
        questions
    }

    fn message(
        &self,
        session: &Session,
        questions: Arc<Questions>,
        migration: &Migration<'_>,
        place: &Place<'_>,
    ) -> Option<Message> {
        let script = migration.script.message()?;
        let former = match place {
            Place::Own(former) => former.map(|former| former.id.clone()),
            Place::Shared { .. } => None,
        };
        let head = Self::head(&questions, migration, place);
        let (behind, tail): (Vec<Behind>, Vec<String>) =
            self.tail(session, &questions, migration, place).into_iter().unzip();
        let before = head.len();
        // The script may end in a comment.
        let (head, tail) = (format!("{};\n", head.join("; ")), format!("\n;{}", tail.join("; ")));
        let parts = [&head, &*script, &tail];
        // As long as it is and no longer: a script may be large.
        let mut sql = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| sql.push_str(part));
        Some(Message {
            version: migration.record.version.clone(),
            sql,
            former,
            parts: Parts {
                questions,
                follows: matches!(place, Place::Own(Some(_))),
                head: u32::try_from(head.chars().count()).unwrap_or(u32::MAX),
                script: before..before + migration.script.statements().count(),
                behind,
            },
        })
    }

    /// The message of a migration that is to be sent behind the COMMIT of `former`: with it, the migration begins. None where it is large, or
    /// what is asked in it is not prepared yet.
    pub fn behind(&self, session: &Session, former: &Transaction, migration: &Migration<'_>) -> Option<Message> {
        let Migration { script, record, .. } = migration;
        let kept = match self.direction {
            Direction::Up => [record.up_script, record.down_script].into_iter().flatten().map(str::len).sum(),
            Direction::Down => 0,
        };
        if script.text().len() + kept > AHEAD_MAX {
            return None;
        }
        let questions = session.prepared.of(self.direction)?;
        self.message(session, questions, migration, &Place::Own(Some(former)))
    }

    /// Begins a migration.
    async fn begin(&self, session: &Session, migration: &Migration<'_>) -> Result<Sent, Stopped> {
        let questions = session.prepared.of(self.direction).ok_or(Stopped::Unfit)?;
        let message = self.message(session, questions, migration, &Place::Own(None)).ok_or(Stopped::Unfit)?;
        Ok(message.send(session).await)
    }

    /// Runs a migration, all but its COMMIT, for which all is [ready](Self::get_ready): one round trip. One that was sent behind the last COMMIT is
    /// under way already.
    ///
    /// # Errors
    /// Why nothing of it must be committed. Unless the connection is lost, the transaction is still to be rolled back.
    pub async fn run(&self, session: &Session, migration: &Migration<'_>) -> Result<Ran, Stopped> {
        let sent = match session.ahead.take(migration.record.version) {
            Some(sent) => sent,
            None => self.begin(session, migration).await?,
        };
        self.ran(session, migration, sent).await
    }

    /// Runs a migration within the open transaction, all of it: two round trips. `written`: whether another was recorded in it.
    ///
    /// # Errors
    /// Why none of the transaction must be committed.
    pub async fn join(&self, session: &Session, migration: &Migration<'_>, written: bool) -> Result<Ran, Stopped> {
        // Whatever is prepared now would end the transaction.
        let questions = session.prepared.of(self.direction).ok_or(Stopped::Unfit)?;
        let beginning = session.beginning(migration.timeouts).await.map_err(Stopped::Begin)?;
        let message = self.message(session, questions, migration, &Place::Shared { beginning, written });
        let sent = message.ok_or(Stopped::Unfit)?.send(session).await;
        self.ran(session, migration, sent).await
    }

    /// What came of a message.
    async fn ran(&self, session: &Session, migration: &Migration<'_>, sent: Sent) -> Result<Ran, Stopped> {
        let (parts, answers, asked) = sent.answered().await;
        let Parts { questions, script: Range { start: before, .. }, .. } = &parts;
        if let Err(error) = asked {
            let begun = answers.row(before - 1).map(|begin| text(begin, 0)).unwrap_or_default();
            return Err(match parts.stopped(error, answers.done, migration.script) {
                Stopped::Broken(Broken::Transaction) => match Self::is_undone(session, questions, &begun).await {
                    Some(true) => Stopped::Unfit,
                    _ => Stopped::Broken(Broken::Transaction),
                },
                // It may have been in a transaction of the script's own.
                stopped @ (Stopped::PutOff(_) | Stopped::Broken(Broken::Own)) => {
                    match Self::is_undone(session, questions, &begun).await {
                        Some(false) => Stopped::Broken(Broken::Transaction),
                        _ => stopped,
                    }
                }
                Stopped::Unfit => {
                    session.prepared.forget();
                    Stopped::Unfit
                }
                other => other,
            });
        }
        if answers.done != parts.script.end + parts.behind.len() {
            tracing::warn!(
                "the server has read other statements in the script than there are; it is run once more, step by step"
            );
            return Err(Stopped::Unfit);
        }
        let rows = answers.touched.get(answers.script.clone()).map_or(0, |rows| rows.iter().sum());
        if !questions.prepared.is_intact(answers.listed()) {
            tracing::warn!("what the host had prepared was replaced; the migration is run once more, step by step");
            session.prepared.forget();
            return Err(Stopped::Unfit);
        }
        let (Some(begin), Some(guard)) = (answers.row(before - 1), answers.row(parts.last(Behind::Guard))) else {
            return Err(Stopped::Unfit);
        };
        let transaction = Transaction {
            id: text(begin, 0),
            signature: questions.signature.clone(),
            writes: [1, 2, 3].map(|i| counts(begin, i)),
            settings: text(begin, 4),
            shared: false,
            seal: None,
        };
        // Before the host has written, and behind what else of the migration's has run then.
        let looks = [(Behind::Guard, OwnWrites::default()), (Behind::End, self.writes())];
        for (look, writes) in looks.into_iter().filter(|(look, _)| parts.behind.contains(look)) {
            let standing = Standing::from(answers.row(parts.last(look)).ok_or(Stopped::Unfit)?);
            if standing.signature != transaction.signature {
                // Who has changed them, the migration or somebody else since it was prepared, is found out step by step.
                tracing::warn!("the host's own tables were changed; the migration is run once more, step by step");
                session.prepared.forget();
                return Err(Stopped::Unfit);
            }
            session.compare(&transaction, &standing, &writes).map_err(Stopped::Broken)?;
        }
        if [Behind::History, Behind::Journal].iter().any(|what| answers.touched.get(parts.last(*what)) != Some(&1)) {
            return Err(Stopped::Unrecorded);
        }
        let took_ms = text(guard, STANDING_COLUMNS).parse().unwrap_or_default();
        let written = answers.row(parts.last(Behind::Written));
        let written = written.map(|row| WrittenRows { history: text(row, 0), journal: text(row, 1) });
        Ok(Ran { rows, took_ms, transaction, written })
    }

    /// Whether the transaction of this number is rolled back now, so that nothing of the migration stays: the script may have ended it and begun
    /// another. `None` where what has told the number is gone, or the server does not say; it must be the host's still.
    async fn is_undone(session: &Session, questions: &Questions, begun: &str) -> Option<bool> {
        let status = format!("SELECT pg_catalog.pg_xact_status({}::pg_catalog.xid8)", quote_literal(begun));
        // Whoever asked rolls back what is open.
        let sql = format!("ROLLBACK; {PREPARED_SQL}; {status}; BEGIN");
        let mut rows = session.texts("asking what became of a transaction", &sql).await.ok()?;
        let status = rows.pop().into_iter().flatten().flatten().next_back();
        let begin = questions.name("begin");
        let is_aborted = status.as_deref() == Some("aborted");
        match questions.prepared.has_intact(&begin, pairs(&rows)) {
            _ if !is_aborted => Some(false),
            false if pairs(&rows).all(|(name, _)| name != begin) => None,
            intact => Some(intact),
        }
    }
}

impl Parts {
    /// None yet.
    fn answers(&self) -> Answers {
        Answers::to(self.script.clone(), self.last(Behind::Prepared))
    }

    /// The number of the last statement that is for this; one that has no answer where there is none.
    fn last(&self, what: Behind) -> usize {
        self.behind.iter().rposition(|of| *of == what).map_or(usize::MAX, |i| self.script.end + i)
    }

    /// What an error means, by the statement that the server was at.
    fn stopped(&self, mut error: DbError, done: usize, script: &Script) -> Stopped {
        let (Range { start: before, end }, head) = (self.script.clone(), self.head);
        // A message that cannot be read whole is refused before anything of it is done.
        let unread = done == 0 && error.is("42601") && error.position.is_some_and(|position| position > head);
        if done < before && !unread && !error.connection_lost {
            let is_too_soon = self.follows && done == 1 && OF_ANOTHER.iter().any(|code| error.is(code));
            return if is_too_soon { Stopped::TooSoon } else { Stopped::Unfit };
        }
        if done < end || unread {
            error.position = error.position.map(|position| position.saturating_sub(head));
            end_at_the_end(&mut error, script);
            return Stopped::Script(script.error(0, done.saturating_sub(before), error));
        }
        error.position = None;
        match self.behind.get(done - end) {
            _ if error.is(GONE) => Stopped::Unfit,
            _ if error.is(NO_TRANSACTION) => Stopped::Broken(Broken::Transaction),
            Some(Behind::PutOff) => Stopped::PutOff(error.into()),
            Some(Behind::Unwritten) if error.message.contains(WRITTEN) => Stopped::Broken(Broken::Own),
            Some(Behind::Guard | Behind::End) if error.message.contains(LOST_ROLE) => Stopped::Broken(Broken::Role),
            // What became of the transaction is still to be asked, and who has taken the host's tables away.
            Some(Behind::Unwritten | Behind::Guard | Behind::End)
                if error.message.contains(LOST_TRANSACTION) || NOT_THERE.iter().any(|code| error.is(code)) =>
            {
                Stopped::Broken(Broken::Transaction)
            }
            Some(Behind::History) => Stopped::Record("history", Error::database("recording the migration", error)),
            Some(Behind::Journal) => Stopped::Record("journal", Error::database("writing the journal", error)),
            Some(Behind::AtCommit) => Stopped::AtCommit(put_off_again(error).into()),
            _ => Stopped::Broken(Broken::of(error)),
        }
    }
}

/// A script that ends in the midst of a statement fails at what the host has put behind it, which its author has not written.
fn end_at_the_end(error: &mut DbError, script: &Script) {
    let length = script.message().map_or(0, |text| text.chars().count());
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if error.is("42601") && error.position.is_some_and(|position| position > length) {
        error.message = "syntax error at end of input".into();
        error.position = Some(length.saturating_add(1));
    }
}
