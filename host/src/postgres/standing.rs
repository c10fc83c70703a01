//! How things stand in a transaction: what a migration may not change, and must be the same at its end.
//!
//! It is one question, which is asked at the beginning of a transaction, behind each step and at its end. It takes the server several times as
//! long to plan as to answer, so it is prepared once a session, when it is asked first. A script can find what is prepared, and put another in its place, or take it away: whether
//! it is still the host's is asked right before it, in the same message. Where it is not, the question is asked as if nothing were prepared.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_postgres::SimpleQueryRow;
use uuid::Uuid;

use super::{
    answers::{Answers, counts, is_true, text},
    handle::db_error,
    lock::LockKey,
    own::{OwnTables, OwnWrites, Signature, signature_sql, writes_sql},
    prepared::{Listed, PREPARED_SQL, name, pairs, texts_of},
    seal::Seal,
    session::Session,
};
use crate::error::{DbError, Error, Result};

/// A transaction under way: what must be the same at its end.
#[derive(Debug, Clone)]
pub struct Transaction {
    pub(super) id: String,
    /// Whether the host has written to its own tables in it before.
    pub(super) shared: bool,
    /// Settings on which the host depends.
    pub(super) settings: String,
    pub(super) seal: Option<Seal>,
    /// What the host's own tables are.
    pub(super) signature: Signature,
    /// What the session has lately written into each: the server counts on until it has time to report.
    pub(super) writes: [Option<Vec<i64>>; 3],
}

impl Transaction {
    /// What keeps it from being committed by anybody but the host.
    pub fn seal(&self) -> Option<&Seal> {
        self.seal.as_ref()
    }
}

/// How things stand at the end of a transaction.
pub(super) struct Standing {
    /// The role that logged in and the one that statements run as.
    pub(super) roles: String,
    pub(super) lock_held: bool,
    pub(super) transaction: Option<String>,
    pub(super) signature: Signature,
    pub(super) writes: [Option<Vec<i64>>; 3],
    pub(super) settings: String,
    /// Whether the seal is closed, where there is one.
    pub(super) sealed: bool,
}

/// The settings without which the host and the server would misunderstand each other.
pub(super) const SETTINGS_SQL: &str = "pg_catalog.concat_ws(' ', pg_catalog.current_setting('client_encoding'),
     pg_catalog.current_setting('synchronous_commit'), pg_catalog.current_setting('session_replication_role'))";

/// The roles of the session.
pub(super) const ROLES_SQL: &str =
    "session_user::pg_catalog.text OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) current_user::pg_catalog.text";

/// The question, as it is prepared in a session.
#[derive(Default)]
pub(super) struct Asking(Mutex<Option<Question>>);

#[derive(Clone)]
struct Question {
    /// `None`: it cannot be prepared here.
    prepared: Option<Prepared>,
    /// What it is about.
    own: OwnTables,
}

#[derive(Clone)]
struct Prepared {
    name: String,
    listed: Listed,
}

impl Asking {
    fn about(&self, own: &OwnTables) -> Option<Option<Prepared>> {
        self.question().as_ref().filter(|question| question.own == *own).map(|question| question.prepared.clone())
    }

    fn question(&self) -> MutexGuard<'_, Option<Question>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Around the question: what is planned anew is planned for catalogs that grow with every migration, and nothing of that is left to the migration.
pub(super) const BEFORE: [&str; 2] = ["SAVEPOINT lockgate_standing", "SET LOCAL enable_seqscan = off"];
pub(super) const BEHIND: [&str; 2] = ["ROLLBACK TO SAVEPOINT lockgate_standing", "RELEASE SAVEPOINT lockgate_standing"];

/// The columns of [`Standing`], with the host's own tables by these numbers. Every name with its schema: the migration may have changed the
/// search path.
pub(super) fn standing_sql(oids: &[String; 4]) -> String {
    let [history, journal, progress, _] = oids.each_ref().map(|oid| writes_sql(oid));
    format!(
        "SELECT {ROLES_SQL}, {}, pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, {SETTINGS_SQL}, {}, {history}, {journal}, {progress}",
        LockKey.held_sql(),
        signature_sql(oids),
    )
}

/// The number of its columns.
pub(super) const STANDING_COLUMNS: usize = 8;

impl From<&SimpleQueryRow> for Standing {
    fn from(told: &SimpleQueryRow) -> Self {
        Self {
            roles: text(told, 0),
            lock_held: is_true(told, 1),
            transaction: told.try_get(2).ok().flatten().map(str::to_owned),
            settings: text(told, 3),
            signature: Signature::of(&text(told, 4)),
            writes: [5, 6, 7].map(|i| counts(told, i)),
            sealed: true,
        }
    }
}

/// Why it was not told how things stand.
enum Untold {
    /// There is no transaction.
    NoTransaction,
    Failed(Box<DbError>),
}

impl Untold {
    /// Of an error at the savepoint around the question; whatever else fails may say what it likes.
    fn at_the_savepoint(error: DbError) -> Self {
        if error.is("25P01") { Self::NoTransaction } else { error.into() }
    }
}

impl From<DbError> for Untold {
    fn from(error: DbError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<Untold> for Broken {
    fn from(untold: Untold) -> Self {
        match untold {
            Untold::NoTransaction => Self::Transaction,
            Untold::Failed(error) => Self::of(*error),
        }
    }
}

impl Session {
    /// What must be the same at the end of the open transaction, for which the session takes the lock as well; of one that is begun by these
    /// statements, where there are some.
    pub(super) async fn baseline(
        &self,
        begin: &[String],
        own: &OwnTables,
        seal: Option<Seal>,
        shared: bool,
    ) -> Result<Transaction> {
        const DOING: &str = "beginning a transaction";
        let first = format!("SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text, {}", LockKey.taken_sql());
        let stands = self.stands(own, begin, &first).await.map_err(|untold| match untold {
            Untold::NoTransaction => Error::system(DOING, "there is none any more"),
            Untold::Failed(error) => Error::database(DOING, *error),
        });
        let (told, standing) = stands?;
        if !is_true(&told, 1) {
            return Err(Error::RefusedMidway {
                what: "the session has lost the lock of the run: a migration before gave it back when it committed"
                    .into(),
                next: "run `lockgate status`, then the same command again".into(),
            });
        }
        let Standing { signature, writes, settings, .. } = standing;
        Ok(Transaction { id: text(&told, 0), signature, writes, shared, settings, seal })
    }

    /// Looks whether the transaction, the lock, the role and the host's own tables are still as the host left them.
    ///
    /// # Errors
    /// What is not as it was: the migration is at fault and must be rolled back.
    pub async fn check_unbroken(
        &self,
        transaction: &Transaction,
        own: &OwnTables,
        writes: &OwnWrites,
    ) -> Result<(), Broken> {
        let sealed = transaction.seal.as_ref().map_or("true".to_owned(), Seal::is_closed);
        let (told, standing) = self.stands(own, &[], &format!("SELECT {sealed}")).await?;
        self.compare(transaction, &Standing { sealed: is_true(&told, 0), ..standing }, writes)
    }

    /// Prepares the question within the open transaction; `None` where that is impossible, and the transaction goes on. By itself, because the server
    /// keeps the text of the whole message with it.
    async fn prepare_standing(&self, own: &OwnTables) -> Result<Option<Prepared>, Untold> {
        let name = name(Uuid::now_v7(), "standing");
        let prepare = format!("PREPARE {name} AS {}", standing_sql(&own.prepared_oids()));
        let (before, back) = (BEFORE.join("; "), BEHIND.join("; "));
        let behind = format!("{PREPARED_SQL}; {back}");
        let client = self.client();
        let (begun, prepared, listed) =
            tokio::join!(client.simple_query(&before), client.simple_query(&prepare), client.simple_query(&behind));
        begun.map_err(|e| Untold::at_the_savepoint(db_error(&e)))?;
        let listed = match prepared.and(listed) {
            Ok(listed) => Listed::of(pairs(&texts_of(listed)), std::slice::from_ref(&name)),
            Err(error) if self.is_closed() => return Err(db_error(&error).into()),
            Err(error) => {
                tracing::debug!(error = %db_error(&error), "what is asked of each step is not prepared");
                self.client().batch_execute(&back).await.map_err(|e| db_error(&e))?;
                None
            }
        };
        let prepared = listed.map(|listed| Prepared { name, listed });
        *self.standing.question() = Some(Question { prepared: prepared.clone(), own: own.clone() });
        Ok(prepared)
    }

    /// How things stand, and the row that is asked for first; behind statements that begin a transaction, where there are some.
    ///
    /// Each answer is taken by the number of its statement: what was put in the place of the question may answer with rows like those of another.
    async fn stands(
        &self,
        own: &OwnTables,
        begin: &[String],
        first: &str,
    ) -> Result<(SimpleQueryRow, Standing), Untold> {
        let (mut begin, mut prepared) = (begin, self.standing.about(own));
        if prepared.is_none() {
            if !begin.is_empty() {
                self.client().batch_execute(&begin.join("; ")).await.map_err(|e| db_error(&e))?;
                begin = &[];
            }
            prepared = Some(self.prepare_standing(own).await?);
        }
        let begin = begin.iter().map(String::as_str);
        let Some(Prepared { name, listed }) = prepared.flatten() else {
            return self.stands_unprepared(own, &begin.chain([first]).collect::<Vec<_>>()).await;
        };
        let execute = format!("EXECUTE {name}");
        let savepoint = begin.len() + 1;
        let listing = savepoint + BEFORE.len();
        let statements: Vec<&str> =
            begin.chain([first]).chain(BEFORE).chain([PREPARED_SQL, &execute]).chain(BEHIND).collect();
        let (mut answers, asked) = self.answered(&statements, listing).await;
        match asked {
            Ok(()) if listed.is_intact(answers.listed()) => {
                if let (Some(standing), Some(first)) = (answers.take_row(listing + 1), answers.take_row(savepoint - 1))
                {
                    return Ok((first, (&standing).into()));
                }
            }
            Ok(()) => {}
            Err(error) if self.is_closed() || error.connection_lost => return Err(error.into()),
            Err(error) if answers.done == savepoint => return Err(Untold::at_the_savepoint(error)),
            Err(error) if answers.done < listing => return Err(error.into()),
            // It is gone, or somebody else's, who may say what he likes.
            Err(_) => self.client().batch_execute(&BEHIND.join("; ")).await.map_err(|e| db_error(&e))?,
        }
        // It counts for nothing, and is prepared anew when it is asked next.
        *self.standing.question() = None;
        self.stands_unprepared(own, &[first]).await
    }

    async fn stands_unprepared(&self, own: &OwnTables, before: &[&str]) -> Result<(SimpleQueryRow, Standing), Untold> {
        let question = standing_sql(&own.oids());
        let statements = [before, &[&question]].concat();
        let (mut answers, asked) = self.answered(&statements, usize::MAX).await;
        asked?;
        match (answers.take_row(before.len()), answers.take_row(before.len() - 1)) {
            (Some(standing), Some(first)) => Ok((first, (&standing).into())),
            _ => {
                Err(DbError { message: "the server has not told how things stand".into(), ..DbError::default() }.into())
            }
        }
    }

    /// The answers to statements in one message, as far as they go.
    async fn answered(&self, statements: &[&str], listing: usize) -> (Answers, Result<(), DbError>) {
        let sql = statements.join("; ");
        let mut answers = Answers::to(0..0, listing);
        let client = self.client().of(sql.len());
        let asked = match client.simple_query_raw(&sql).await {
            Ok(stream) => answers.of(stream).await,
            Err(error) => Err(db_error(&error)),
        };
        (answers, asked)
    }

    /// Compares how things stand with how the host left them, but for what it has written itself.
    pub(super) fn compare(
        &self,
        transaction: &Transaction,
        standing: &Standing,
        writes: &OwnWrites,
    ) -> Result<(), Broken> {
        if standing.transaction.as_deref() != Some(transaction.id.as_str()) {
            return Err(Broken::Transaction);
        }
        self.same_session(&standing.roles, standing.lock_held)?;
        if standing.settings != transaction.settings {
            return Err(Broken::Settings);
        }
        let pairs = transaction.writes.iter().zip(&standing.writes).zip(writes.counted());
        let counted = pairs.into_iter().all(|((before, now), expected)| match (before, now) {
            (Some(before), Some(now)) => (0..3).all(|k| now[k] - before[k] == i64::from(expected[k])),
            // The server keeps no statistics; but it may not stop doing so half-way.
            (before, now) => before.is_none() && now.is_none(),
        });
        let same = standing.signature == transaction.signature;
        if same && counted && standing.sealed { Ok(()) } else { Err(Broken::Own) }
    }
}

/// What a migration may not touch, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// It ended the transaction: part of it is committed.
    Transaction,
    /// It hid an error of the server, which has given the transaction up.
    Aborted,
    /// It left another role behind.
    Role,
    /// It gave the host's lock away.
    Lock,
    /// It changed a setting on which the host depends.
    Settings,
    /// It changed the history, the journal, or how far a migration is.
    Own,
    /// The server would not say.
    Unknown(Box<DbError>),
}

impl Broken {
    /// What it means that the server did not say how things stand.
    pub(super) fn of(error: DbError) -> Self {
        match error.sqlstate.as_deref() {
            Some("25P02") => Self::Aborted,
            // The role that the host was given may look at its tables.
            Some("42501") => Self::Role,
            _ => Self::Unknown(Box::new(error)),
        }
    }

    /// Whether part of the migration stays, whatever is done now.
    pub fn has_committed(&self) -> bool {
        *self == Self::Transaction
    }

    /// Why the migration cannot be committed.
    pub fn what(&self) -> String {
        match self {
            Self::Transaction => "it ended the transaction that the host owns".into(),
            Self::Aborted => {
                "it hid an error that the server had reported, after which nothing can be committed".into()
            }
            Self::Role => "it left another role than the one that it was given".into(),
            Self::Lock => "it released the lock that the host holds".into(),
            Self::Settings => {
                "it left `client_encoding`, `synchronous_commit` or `session_replication_role` changed, on which the host depends"
                    .into()
            }
            Self::Own => {
                "it changed the tables in which the host keeps what is applied, or names them in a statement that would (a GRANT on all tables of \
                 their schema changes them; \
                 `--schema` keeps them in one of their own)"
                    .into()
            }
            Self::Unknown(error) => error.to_string(),
        }
    }
}
