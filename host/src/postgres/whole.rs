//! A migration of one script in one message: the beginning of its transaction, the script, what history and journal have of it, and the
//! checks. Only the COMMIT has a message of its own: it is sent when the checks have told that nothing is broken.
//!
//! Where another such migration follows, its message is sent right behind that COMMIT, and the server goes on without waiting for the host.
//! It begins by asking whether that COMMIT has taken place, and does nothing where it has not.
//!
//! Where several share a transaction, each has such a message, which sets the session to what it is at the beginning instead of beginning a
//! transaction.
//!
//! What the host asks in each such message is prepared once. Behind the script the server itself looks whether the transaction and the role
//! are still the host's, and behind what the script has put off, whether the host's tables are; it stops there if they are not. What puts itself off
//! once more finds the transaction read-only at its COMMIT.

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
    answers::{Answers, counts, is_true, text},
    handle::db_error,
    history::{History, Record},
    journal::{Entry, Journal},
    lock::LockKey,
    own::{OwnTables, OwnWrites, Signature, WrittenRows, signature_sql, writes_sql, written_sql},
    prepared::{GONE, Listed, PREPARED_SQL, name, pairs},
    quote_literal,
    session::{SETTLE_READ_ONLY, SYNCHRONOUS_COMMIT, Session, Timeouts, put_off_again},
    standing::{BEFORE, BEHIND, Broken, ROLES_SQL, SETTINGS_SQL, Standing, Transaction},
};
use crate::{
    error::{DbError, Error, ProgramError},
    migration::{Direction, Version},
    sql::Script,
};

/// How long the message has taken so far, in milliseconds: for the server, all of it is one call of the client.
const TOOK_SQL: &str =
    "pg_catalog.int8larger(0, (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
     pg_catalog.statement_timestamp()) OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8)";

/// Where the transaction's own number is kept, for as long as it lasts.
const TRANSACTION: &str = "lockgate.transaction";

/// Where the migration's version is kept while the host asks: what is prepared without parameters is planned once.
const VERSION: &str = "lockgate.version";

/// Where the number of the transaction is kept after whose end the session was set back last.
const SET_BACK: &str = "lockgate.set_back";

/// What the server says where the transaction or the role is not the host's any more.
const LOST_TRANSACTION: &str = "lockgate: the transaction is lost";
const LOST_ROLE: &str = "lockgate: the role is lost";
const NOT_COMMITTED: &str = "lockgate: the transaction before is not committed";
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

/// What is prepared in a session, for each direction.
#[derive(Default)]
pub(super) struct Prepared(Mutex<HashMap<Direction, Arc<Questions>>>);

impl Prepared {
    /// Some of it is gone, or does not fit: it is prepared anew when it is needed.
    fn forget(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Direction, Arc<Questions>>> {
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
    /// The transaction and the role are the host's.
    Guard,
    /// What was put off.
    PutOff,
    /// The host's tables are not written to.
    Unwritten,
    /// They are what they were: nothing of the migration's runs when the host writes.
    Same,
    History,
    Journal,
    /// What was put off once more.
    AtCommit,
    /// What is prepared.
    Prepared,
    /// How things stand.
    End,
    /// What the host has written.
    Written,
    /// Something is set.
    Set,
}

/// What the answers to a message are understood by.
struct Parts {
    questions: Arc<Questions>,
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
const PREPARED: [&str; 7] = ["begin", "guard", "unwritten", "same", "record", "note", "end"];

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
        let own = self.own;
        let names = own.literals();
        let [history, journal, progress, _] = &names;
        let signature = signature_sql(names.each_ref().map(String::as_str));
        let writes = [history, journal, progress].map(|name| writes_sql(name)).join(", ");
        let version = format!("pg_catalog.current_setting('{VERSION}')");
        let holds = self.history.holds_sql(&version);
        let run_id = quote_literal(&self.run_id.to_string());
        let (changed, recorded) = match self.direction {
            Direction::Up => (holds, self.history.holds_of_run_sql(&version, &run_id)),
            Direction::Down => (format!("NOT {holds}"), format!("NOT {holds}")),
        };
        let roles = quote_literal(&session.roles());
        let is_ours = format!(
            "coalesce(pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text OPERATOR(pg_catalog.=)
                      pg_catalog.current_setting('{TRANSACTION}', true), false)"
        );
        let (lost, lost_role) = (fail(LOST_TRANSACTION), fail(LOST_ROLE));
        let begin = format!(
            "SELECT pg_catalog.set_config('{TRANSACTION}', pg_catalog.pg_current_xact_id()::pg_catalog.text, true),
                    {writes}, {SETTINGS_SQL}, CASE WHEN {changed} THEN {lost} END, CASE WHEN NOT {} THEN {lost} END",
            self.lock.taken_sql(),
        );
        let guard = format!(
            "SELECT CASE WHEN NOT {is_ours} THEN {lost} WHEN ({ROLES_SQL}) OPERATOR(pg_catalog.<>) {roles} THEN {lost_role} END"
        );
        let unwritten = format!("SELECT CASE WHEN {} THEN {} END", written_sql(own), fail(WRITTEN));
        let record = match self.direction {
            Direction::Up => self.history.recorded_sql(self.run_id, TOOK_SQL),
            Direction::Down => self.history.forget_sql(&version),
        };
        let note = self.journal.noted_sql(TOOK_SQL);
        let end = format!(
            "SELECT {ROLES_SQL}, {recorded}, {TOOK_SQL}, {}, pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text,
                    {SETTINGS_SQL}, {signature}, {writes}",
            self.lock.held_sql(),
        );
        let same = format!("SELECT {signature}");
        let prepared = PREPARED.into_iter().zip([begin, guard, unwritten, same, record, note, end]);
        let prepared = prepared.map(|(what, sql)| format!("PREPARE {} AS {sql}", name(id, what)));
        // Planned here, once, and for catalogs that grow with every migration: as small as they are now, they would be read whole each time.
        let first = "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan".to_owned();
        let last = format!(
            "SET LOCAL {VERSION} = ''; EXPLAIN EXECUTE {}; EXPLAIN EXECUTE {}; EXPLAIN EXECUTE {}; COMMIT; {PREPARED_SQL}; SELECT {signature}",
            name(id, "begin"),
            name(id, "same"),
            name(id, "end"),
        );
        [first].into_iter().chain(prepared).chain([last]).collect()
    }

    /// Before the script; the last of them is the first question. Behind a COMMIT, it is asked whether that has taken place and the session was set
    /// back: not by what is prepared, which that transaction may have replaced at its very end.
    fn head(questions: &Questions, migration: &Migration<'_>, place: &Place<'_>) -> Vec<String> {
        let mut head = match place {
            Place::Own(former) => {
                let follows = former.map(|former| quote_literal(&former.id)).map(|former| {
                    format!(
                        "SELECT CASE WHEN pg_catalog.pg_xact_status({former}::pg_catalog.xid8) OPERATOR(pg_catalog.=) 'committed'
                                      AND pg_catalog.current_setting('{SET_BACK}', true) OPERATOR(pg_catalog.=) {former}
                                THEN NULL ELSE {} END",
                        fail(NOT_COMMITTED)
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

    /// Behind the script, which may have set what it likes. Where it has made the server forget its plans, the last question is planned as it was
    /// at first.
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
            Direction::Up => format!("{}({})", execute("record"), migration.record.arguments()),
            Direction::Down => execute("record"),
        };
        let version = migration.version_sql();
        let (is_shared, is_written) = match place {
            Place::Own(_) => (false, false),
            Place::Shared { written, .. } => (true, *written),
        };
        let mut tail =
            vec![(Behind::Guard, execute("guard")), (Behind::PutOff, "SET CONSTRAINTS ALL IMMEDIATE".to_owned())];
        if !is_written {
            tail.push((Behind::Unwritten, execute("unwritten")));
        }
        tail.extend([
            (Behind::Same, execute("same")),
            (Behind::Set, version.clone()),
            (Behind::History, record),
            (Behind::Journal, format!("{}({})", execute("note"), migration.entry.arguments())),
        ]);
        if is_shared {
            // What runs below may put back what it has changed above.
            tail.push((Behind::Guard, execute("guard")));
            let for_good = SETTLE_READ_ONLY.into_iter().chain(["DISCARD TEMP"]);
            tail.extend(for_good.map(|sql| (Behind::AtCommit, sql.to_owned())));
        }
        // A check of the migration's own is planned as the migration has it.
        let (before, behind): (&[&str], &[&str]) =
            if migration.is_verified { (&BEFORE, &BEHIND) } else { (&BEFORE[1..], &[]) };
        let set = |sql: &&str| (Behind::Set, (*sql).to_owned());
        tail.push((Behind::Set, version));
        tail.extend(before.iter().map(set));
        tail.extend([(Behind::Prepared, PREPARED_SQL.to_owned()), (Behind::End, execute("end"))]);
        tail.extend(behind.iter().map(set));
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

    /// Prepares what is asked in each message, for what is to [`join`](Self::join) a transaction that has not begun yet. Whether that was possible.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn get_ready(&self, session: &Session) -> Result<bool, Error> {
        let is_ready = self.questions(session).await.is_some();
        if !is_ready {
            // What was to be prepared in a transaction of its own may have left that.
            session.abort().await?;
        }
        Ok(is_ready)
    }

    /// What is asked in each message, prepared where it is not yet; `None` where that is impossible.
    async fn questions(&self, session: &Session) -> Option<Arc<Questions>> {
        let prepared = session.prepared.all().get(&self.direction).cloned();
        match prepared {
            Some(questions) => Some(questions),
            None => self.prepare(session).await,
        }
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
        let signature = Signature::of(&rows.pop()?.pop()??);
        let names = PREPARED.map(|what| name(id, what));
        let prepared = Listed::of(pairs(&rows), &names)?;
        let questions = Arc::new(Questions { id, prepared, signature });
        session.prepared.all().insert(self.direction, Arc::clone(&questions));
        Some(questions)
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
        let questions = session.prepared.all().get(&self.direction).cloned()?;
        self.message(session, questions, migration, &Place::Own(Some(former)))
    }

    /// Begins a migration.
    async fn begin(&self, session: &Session, migration: &Migration<'_>) -> Result<Sent, Stopped> {
        let questions = self.questions(session).await.ok_or(Stopped::Unfit)?;
        let message = self.message(session, questions, migration, &Place::Own(None)).ok_or(Stopped::Unfit)?;
        Ok(message.send(session).await)
    }

    /// Runs a migration, all but its COMMIT: one round trip, and another the first time in a session. One that was sent behind the last COMMIT
    /// is under way already.
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
        let questions = session.prepared.all().get(&self.direction).cloned().ok_or(Stopped::Unfit)?;
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
                Stopped::Broken(Broken::Transaction) => Self::lost(session, questions, &begun).await,
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
        if [Behind::History, Behind::Journal].iter().any(|what| answers.touched.get(parts.last(*what)) != Some(&1)) {
            return Err(Stopped::Unrecorded);
        }
        if !questions.prepared.is_intact(answers.listed()) {
            tracing::warn!("what the host had prepared was replaced; the migration is run once more, step by step");
            session.prepared.forget();
            return Err(Stopped::Unfit);
        }
        let (Some(begin), Some(end)) = (answers.row(before - 1), answers.row(parts.last(Behind::End))) else {
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
        let standing = Standing {
            roles: text(end, 0),
            lock_held: is_true(end, 3),
            transaction: end.try_get(4).ok().flatten().map(str::to_owned),
            settings: text(end, 5),
            signature: Signature::of(&text(end, 6)),
            writes: [7, 8, 9].map(|i| counts(end, i)),
            sealed: true,
        };
        let same = answers.row(parts.last(Behind::Same)).map(|row| Signature::of(&text(row, 0)));
        if standing.signature != transaction.signature || same.as_ref() != Some(&transaction.signature) {
            // Who has changed them, the migration or somebody else since it was prepared, is found out step by step.
            tracing::warn!("the host's own tables were changed; the migration is run once more, step by step");
            session.prepared.forget();
            return Err(Stopped::Unfit);
        }
        session.compare(&transaction, &standing, &self.writes()).map_err(Stopped::Broken)?;
        if !is_true(end, 1) {
            return Err(Stopped::Unrecorded);
        }
        let took_ms = text(end, 2).parse().unwrap_or_default();
        let written = answers.row(parts.last(Behind::Written));
        let written = written.map(|row| WrittenRows { history: text(row, 0), journal: text(row, 1) });
        Ok(Ran { rows, took_ms, transaction, written })
    }

    /// What it means that the transaction of this number is not the one that is open: the script has ended it, or has only set back all that is
    /// set, and with it by what it is known. The number is told by what was prepared, which must be the host's still.
    async fn lost(session: &Session, questions: &Questions, begun: &str) -> Stopped {
        let status = format!("SELECT pg_catalog.pg_xact_status({}::pg_catalog.xid8)", quote_literal(begun));
        // Whoever asked rolls back what is open.
        let sql = format!("ROLLBACK; {PREPARED_SQL}; {status}; BEGIN");
        let mut rows = session.texts("asking what became of a transaction", &sql).await.unwrap_or_default();
        let status = rows.pop().into_iter().flatten().flatten().next_back();
        let is_aborted = status.as_deref() == Some("aborted") && questions.prepared.is_intact(pairs(&rows));
        if is_aborted { Stopped::Unfit } else { Stopped::Broken(Broken::Transaction) }
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
            return if error.message.contains(NOT_COMMITTED) { Stopped::TooSoon } else { Stopped::Unfit };
        }
        if done < end || unread {
            error.position = error.position.map(|position| position.saturating_sub(head));
            end_at_the_end(&mut error, script);
            return Stopped::Script(script.error(0, done.saturating_sub(before), error));
        }
        error.position = None;
        match self.behind.get(done - end) {
            _ if error.is(GONE) => Stopped::Unfit,
            Some(Behind::Unwritten) if error.message.contains(WRITTEN) => Stopped::Broken(Broken::Own),
            Some(Behind::Guard) if error.message.contains(LOST_ROLE) => Stopped::Broken(Broken::Role),
            Some(Behind::Guard) if error.message.contains(LOST_TRANSACTION) => Stopped::Broken(Broken::Transaction),
            Some(Behind::PutOff) => Stopped::PutOff(error.into()),
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
