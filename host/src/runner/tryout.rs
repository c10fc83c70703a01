//! `up --rollback-after`: the pending migrations are really run, in one transaction that is rolled back.
//!
//! Everything that belongs to a transaction is tried under the guards of a run. What must be committed before something else can be
//! tried is not tried, and neither is anything after it.

mod outcome;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use uuid::Uuid;

use self::outcome::{moved, taken};
use super::{
    Run,
    migration::{Passage, Tried},
    recovery::{passing, pause},
    standing,
    work::Work,
};
use crate::{
    config::Config,
    error::{Error, Finding, Result},
    locks::{Mode, RelationName},
    migration::{Direction, Version},
    plan,
    postgres::{Timeouts, quote_literal, tables},
    source::{self, Folder},
};

pub use self::outcome::{Moved, NotReached, NotTried, Taken, TriedAs, TriedMigration, Tryout};

/// The relations that are locked, by their numbers, with the modes.
type Held = BTreeSet<(u32, Mode)>;

/// Tries what is pending, up to and including `to`, and rolls it back.
///
/// # Errors
/// Whatever stops it before the first migration. What stops it in one is in the [`Tryout`].
pub async fn try_out(config: &Config, run_id: Uuid, to: Option<&Version>) -> Result<Tryout> {
    let folder = source::of(config)?;
    let mut run = Run::begin(config, run_id).await?;
    run.persistently(async |run| run.try_out(&folder, to).await).await
}

impl Run<'_> {
    async fn try_out(&mut self, folder: &Folder, to: Option<&Version>) -> Result<Tryout> {
        let applied = self.applied().await?;
        let underway = self.progress.read(&self.session).await?.is_some();
        let pending = plan::up(&folder.migrations, &applied, to, self.config.rules);
        if !underway && standing(folder, &applied).is_empty() && pending.is_ok_and(|pending| pending.is_empty()) {
            return Ok(self.tryout(Vec::new()));
        }
        self.locked(async |run, _| {
            run.refuse_other_histories(folder).await?;
            let work = run.pending(folder, to).await?;
            if work.is_empty() {
                return Ok(run.tryout(Vec::new()));
            }
            run.refuse_paused(work.iter().find_map(|item| item.started.as_ref()))?;
            let mut findings = run.preflight(&work, false).await?;
            findings.extend(run.lint(folder, &work).await?);
            let (before, slots) = (run.sequences().await?, run.replication_slots().await?);
            let mut tries = 1;
            let mut tryout = loop {
                let tryout = run.tried(&work, findings.clone()).await?;
                let again = tryout.error.as_ref().is_some_and(passing) && tries <= run.config.persistence.retries;
                if !again {
                    break tryout;
                }
                tracing::warn!(tries, "somebody was in the way; trying all of it again after a pause");
                run.stoppable(tokio::time::sleep(pause(tries))).await?;
                tries += 1;
            };
            tryout.sequences = moved(&before, &run.sequences().await?);
            tryout.replication_slots = run.replication_slots().await?.difference(&slots).cloned().collect();
            tryout.duration_ms = run.started.elapsed().as_millis();
            Ok(tryout)
        })
        .await
    }

    fn tryout(&self, findings: Vec<Finding>) -> Tryout {
        Tryout {
            run_id: self.run_id,
            migrations: Vec::new(),
            not_reached: Vec::new(),
            findings,
            sequences: Vec::new(),
            replication_slots: Vec::new(),
            failed: None,
            duration_ms: self.started.elapsed().as_millis(),
            error: None,
        }
    }

    /// All of it, once, in one transaction that is rolled back whatever comes of it.
    async fn tried(&mut self, work: &[Work], findings: Vec<Finding>) -> Result<Tryout> {
        let mut tryout = self.tryout(findings);
        let mut locks: Vec<Held> = Vec::new();
        self.session.batch("beginning a transaction to be rolled back", "BEGIN").await?;
        let all = self.try_each(work, &mut tryout, &mut locks);
        let stop = all.await;
        if let Err(error) = &stop
            && self.session.is_closed()
        {
            // The server rolls back when it notices. All of it is tried again, if it can be.
            return Err(error.clone());
        }
        self.session.abort().await?;
        let names = self.names(locks.iter().flatten().map(|(oid, _)| *oid).collect()).await?;
        for (tried, held) in tryout.migrations.iter_mut().zip(locks) {
            tried.locks = taken(&held, &names);
        }
        tryout.error = stop.err();
        tryout.failed = tryout.error.as_ref().map(Error::report);
        Ok(tryout)
    }

    /// One migration after the other, until one fails or cannot be tried whole.
    async fn try_each(&mut self, work: &[Work], tryout: &mut Tryout, locks: &mut Vec<Held>) -> Result<()> {
        tables::ensure_within(&self.session, &self.history).await?;
        let mut held = Held::new();
        for (i, item) in work.iter().enumerate() {
            if item.started.is_some() {
                // What is left of it needs what was committed of it, and may not be done twice.
                let why = "it is half applied: `lockgate up` goes on with it, and cannot be tried".to_owned();
                tryout.not_reached.push(NotReached { name: item.name.clone(), why });
                tryout.not_reached.extend(after(item, &work[i + 1..]));
                return Ok(());
            }
            let begin = Instant::now();
            self.session.as_at_the_beginning(self.timeouts(item, Direction::Up)).await?;
            let tried = Passage::of(self, Direction::Up, item, None).tried_out(i > 0, &mut tryout.findings).await;
            let (outcome, steps, not_tried, error) = match tried {
                Ok(Tried { steps, not_tried: None }) => (TriedAs::Tried, Some(steps), None, None),
                Ok(Tried { steps, not_tried }) => (TriedAs::Partly, Some(steps), not_tried, None),
                Err(error) => (TriedAs::Failed, None, None, Some(error)),
            };
            tryout.migrations.push(TriedMigration {
                version: item.version.clone(),
                name: item.name.clone(),
                kind: item.kind.clone(),
                outcome,
                steps,
                not_tried,
                execution_time_ms: begin.elapsed().as_millis(),
                locks: Vec::new(),
            });
            if outcome != TriedAs::Tried {
                tryout.not_reached.extend(after(item, &work[i + 1..]));
            }
            if let Some(error) = error {
                return Err(error);
            }
            match self.session.as_at_the_beginning(BETWEEN).await {
                Ok(()) => {}
                // An error of the server has shown that it cannot be tried; after that it does not tell the locks.
                Err(_) if outcome == TriedAs::Partly => return Ok(()),
                Err(error) => return Err(error),
            }
            let now = self.held().await?;
            locks.push(now.difference(&held).copied().collect());
            held = now;
            if outcome == TriedAs::Partly {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The relations that the session has locked, but for the catalog's own, indexes, TOAST tables and what Lockgate keeps.
    async fn held(&self) -> Result<Held> {
        let own = self.own_tables();
        let own = [&own.history, &own.journal, &own.progress, &own.seal];
        let own: Vec<String> = own.iter().map(|table| format!("to_regclass({})", quote_literal(table))).collect();
        // 16384 is the first number that is not the catalog's own.
        let sql = format!(
            "SELECT l.relation, l.mode FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
             WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted AND l.relation >= 16384
               AND coalesce(c.relkind, 'r') NOT IN ('i', 'I', 't')
               AND l.relation <> ALL (array_remove(ARRAY[{}]::oid[], NULL))
               AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())",
            own.join(", ")
        );
        let rows = self.session.texts("looking at the locks", &sql).await?;
        let held = |row: Vec<Option<String>>| {
            let [Some(oid), Some(mode)] = row.as_slice() else { return None };
            Some((oid.parse().ok()?, Mode::of_pg_locks(mode)?))
        };
        Ok(rows.into_iter().filter_map(held).collect())
    }

    /// The names of relations, after the rollback: those that the migrations made have none.
    async fn names(&self, oids: BTreeSet<u32>) -> Result<BTreeMap<u32, RelationName>> {
        if oids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
        let sql = format!(
            "SELECT c.oid, nullif(n.nspname, 'public'), c.relname FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.oid IN ({}) AND c.relkind NOT IN ('i', 'I', 't')",
            oids.join(", ")
        );
        let rows = self.session.texts("naming what was locked", &sql).await?;
        let name = |row: Vec<Option<String>>| {
            let [Some(oid), schema, Some(name)] = row.as_slice() else { return None };
            Some((oid.parse().ok()?, RelationName { schema: schema.clone(), name: name.clone() }))
        };
        Ok(rows.into_iter().filter_map(name).collect())
    }

    /// The names of the replication slots: to make one is not undone by a rollback, and it keeps the server's log.
    async fn replication_slots(&self) -> Result<BTreeSet<String>> {
        let sql = "SELECT slot_name::text FROM pg_catalog.pg_replication_slots";
        let rows = self.session.texts("looking at the replication slots", sql).await?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }

    /// The last values of all sequences that the role may look at: to take numbers from one is not undone by a rollback.
    async fn sequences(&self) -> Result<BTreeMap<String, Option<String>>> {
        let sql = "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_catalog.pg_sequences";
        let rows = self.session.texts("looking at the sequences", sql).await?;
        let sequence = |row: Vec<Option<String>>| {
            let [Some(name), last] = row.as_slice() else { return None };
            Some((name.clone(), last.clone()))
        };
        Ok(rows.into_iter().filter_map(sequence).collect())
    }
}

/// Between two migrations nothing of theirs runs.
const BETWEEN: Timeouts = Timeouts { lock: Duration::from_secs(30), statement: Duration::ZERO };

fn after<'a>(item: &'a Work, rest: &'a [Work]) -> impl Iterator<Item = NotReached> + 'a {
    let why = format!("it comes after {}", item.name);
    rest.iter().map(move |item| NotReached { name: item.name.clone(), why: why.clone() })
}
