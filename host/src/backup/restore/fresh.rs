//! A new database, from nothing to one that holds what the backup held, and that is proved to.

use std::{sync::Arc, time::Instant};

use uuid::Uuid;

use super::{
    Phase, Way, create, drop_database,
    fill::Dump,
    leftovers::{Stage, mark},
    lend::Lent,
    name, roles, suffix, why,
};
use crate::{
    backup::{
        Backup, Catalog, Level, Manifest, Properties,
        catalog::off_the_runtime,
        child,
        encryption::Identities,
        meter::Meter,
        tools::{self, ToolsError},
        verify,
    },
    config::Config,
    error::{Error, NOTHING_CHANGED, Result},
    failpoint::Failpoint,
    postgres::{Session, Target, lock, snapshot::Contents},
};

/// How many differences are told. Where there are more, they are likely of one kind.
const DIFFERENCES_TOLD: usize = 10;

/// See the module. Whatever comes of it, it is to be [discarded](Self::discard) or to get its name.
pub(in crate::backup) struct Fresh<'a> {
    config: &'a Config,
    admin: &'a Session,
    manifest: &'a Manifest,
    run_id: Uuid,
    /// What it is called until it is finished.
    pub name: String,
    catalog: Catalog,
    keys: Arc<Identities>,
    dump: Dump,
    listing: String,
    /// What was done so far.
    pub phases: Vec<Phase>,
}

/// What was found equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backup) struct Proved {
    /// The tables that hold as many rows as they did.
    pub counted: usize,
    /// Those of them that hold the same rows.
    pub hashed: usize,
}

impl<'a> Fresh<'a> {
    /// Nothing yet; but its name is claimed, as long as `admin` lives.
    ///
    /// # Errors
    /// When the backup cannot be read here.
    pub(in crate::backup) async fn of(
        config: &'a Config,
        admin: &'a Session,
        run_id: Uuid,
        backup: &'a Backup,
        word: &str,
        way: &Way,
    ) -> Result<Self> {
        let manifest = &backup.manifest;
        let catalog = Catalog::open(&config.backup)?;
        let keys = Arc::new(verify::identities(manifest, config.backup.identity.as_deref())?);
        // An older one does not know what a newer `pg_dump` writes.
        let major = admin.server.major().max(manifest.pg_dump_major);
        let tools = tools::find(config.pg_bin.as_deref(), major).map_err(|error| no_tools(major, &error))?;
        let dump = Dump::of(manifest, catalog.store(), &keys, tools.restore, way)?;
        let name = name(&config.target.database, word, &suffix(run_id));
        if let Some(holder) = lock::claim(admin, &name).await? {
            return Err(Error::RestoreUnderWay { database: name, holder });
        }
        let (listing, phases) = (String::new(), Vec::new());
        Ok(Self { config, admin, manifest, run_id, name, catalog, keys, dump, listing, phases })
    }

    /// Looks whether the files are what was written, and decodes the dump where that is to be done before.
    ///
    /// # Errors
    /// Which one is not.
    pub(in crate::backup) async fn check_files(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        let (store, manifest, keys) = (Arc::clone(self.catalog.store()), self.manifest.clone(), Arc::clone(&self.keys));
        let checked = off_the_runtime(move || Ok(verify::files(&store, &manifest, Level::Digest, &keys)));
        self.unless_stopped(checked).await?.map_err(|e| why(&e))??;
        self.phases.push(Phase::since("digests", begin));

        let begin = Instant::now();
        let (meter, stop) = (Meter::default(), self.config.stop.clone());
        let (dump, about) = (self.dump.clone(), self.dump.about_bytes());
        let spooling = {
            let meter = meter.clone();
            off_the_runtime(move || Ok(dump.spooled(&meter, &stop)))
        };
        self.dump = meter.tell("decoding", about, self.config.draw, spooling).await.map_err(|e| why(&e))??;
        Failpoint::DumpSpooled.pass();
        let (dump, stop) = (self.dump.clone(), self.config.stop.clone());
        self.listing = child::supervise(&self.config.stop, move |started| dump.listing(&stop, started)).await?;
        self.phases.push(Phase::since("decode", begin));
        Ok(())
    }

    /// Looks whether the server has the roles; the owner of the database is `owner`.
    ///
    /// # Errors
    /// [`Error::Refused`], naming those without whom it cannot be restored.
    pub(in crate::backup) async fn check_roles(&self, properties: &Properties, owner: &str) -> Result<Vec<String>> {
        let location = &self.config.backup.location;
        roles::check(self.admin, self.manifest, location, properties, owner, &self.listing).await
    }

    /// Makes it, empty.
    ///
    /// # Errors
    /// Why there is none.
    pub(in crate::backup) async fn create(
        &mut self,
        properties: &Properties,
        owner: &str,
    ) -> Result<Vec<String>, String> {
        let begin = Instant::now();
        let mark = mark(&self.config.target.database, self.run_id, Stage::Filling);
        let warnings = create::create(self.admin, &self.name, properties, owner, &mark).await.map_err(|e| why(&e))?;
        self.phases.push(Phase::since("create", begin));
        Ok(warnings)
    }

    /// Fills it.
    ///
    /// # Errors
    /// What `pg_restore` said.
    pub(in crate::backup) async fn fill(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        let lent = Lent::of(self.admin, &self.name).await.map_err(|e| why(&e))?;
        if !lent.is_empty() {
            self.batch("lending the right to make objects", &lent.lend).await.map_err(|e| why(&e))?;
        }
        let (dump, target, meter) = (self.dump.clone(), self.target(), Meter::default());
        let filling = {
            let (meter, stop) = (meter.clone(), self.config.stop.clone());
            child::supervise(&self.config.stop, move |started| dump.restore(&target, &meter, &stop, started))
        };
        let filled = meter.tell("restoring", self.dump.about_bytes(), self.config.draw, filling).await;
        filled.map_err(|complaint| roles::hint(self.manifest, &self.config.backup.location, &complaint))?;
        if !lent.is_empty() {
            self.take_back(&lent).await?;
        }
        self.phases.push(Phase::since("restore", begin));
        Failpoint::DatabaseFilled.pass();
        Ok(())
    }

    async fn take_back(&self, lent: &Lent) -> Result<(), String> {
        self.batch("taking back the right to make objects", &lent.take_back).await.map_err(|e| why(&e))?;
        let privileges = entries(&self.listing, " ACL - SCHEMA public ");
        if privileges.is_empty() {
            return Ok(());
        }
        self.restore_entries(privileges).await
    }

    /// Gives an empty database the planner's statistics that came with the dump, once more: to make an index of a table without rows says that
    /// it has none.
    ///
    /// # Errors
    /// What `pg_restore` said.
    pub(in crate::backup) async fn restore_statistics(&mut self) -> Result<(), String> {
        let statistics = entries(&self.listing, " STATISTICS DATA ");
        if statistics.is_empty() {
            return Ok(());
        }
        let begin = Instant::now();
        self.restore_entries(statistics).await?;
        self.phases.push(Phase::since("statistics", begin));
        Ok(())
    }

    async fn restore_entries(&self, entries: String) -> Result<(), String> {
        let (dump, target, stop) = (self.dump.clone(), self.target(), self.config.stop.clone());
        let work =
            child::supervise(&self.config.stop, move |started| dump.restore_entries(&target, &entries, &stop, started));
        work.await
    }

    /// Compares what it holds with what the snapshot held.
    ///
    /// # Errors
    /// What differs.
    pub(in crate::backup) async fn compare(&mut self) -> Result<Proved, String> {
        let begin = Instant::now();
        let expected = &self.manifest.contents;
        let session = self.session().await.map_err(|e| why(&e))?;
        let found = self.unless_stopped(contents(&session, expected.has_hashes())).await?.map_err(|e| why(&e))?;
        drop(session);
        self.phases.push(Phase::since("compare", begin));
        // Without rows there is nothing to compare, and nothing may be there.
        let differences = expected.differences(&found);
        if !differences.is_empty() {
            let more = differences.len().saturating_sub(DIFFERENCES_TOLD);
            let mut told = differences[..differences.len() - more].join("; ");
            if more > 0 {
                told += &format!("; and {more} more");
            }
            return Err(format!("what was restored is not what the backup was taken of: {told}"));
        }
        Failpoint::DatabaseCompared.pass();
        let hashed = expected.tables.iter().filter(|table| table.hash.is_some()).count();
        Ok(Proved { counted: expected.tables.len(), hashed })
    }

    /// Gathers the statistics without which every query would be planned badly at first.
    ///
    /// # Errors
    /// When the server does not.
    pub(in crate::backup) async fn analyze(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        let analyzing = self.batch("analyzing the new database", "ANALYZE");
        self.unless_stopped(analyzing).await?.map_err(|e| why(&e))?;
        self.phases.push(Phase::since("analyze", begin));
        Ok(())
    }

    /// Gives it what would have been in the way before. What could not be given is returned.
    pub(in crate::backup) async fn dress(&self, properties: &Properties) -> Vec<String> {
        create::dress(self.admin, &self.name, properties).await
    }

    /// Drops it, if there is something to drop.
    ///
    /// # Errors
    /// Why that cannot be done: then it is still there.
    pub(in crate::backup) async fn discarded(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        let dropped = drop_database(self.admin, &self.name).await;
        self.phases.push(Phase::since("drop", begin));
        dropped.map_err(|error| format!("the new database `{}` could not be dropped: {}", self.name, why(&error)))
    }

    /// The same after a failure, which counts: a database that cannot even be dropped is named in the log.
    pub(in crate::backup) async fn discard(&mut self) {
        if let Err(cause) = self.discarded().await {
            tracing::error!("{cause}");
        }
    }

    fn target(&self) -> Target {
        self.config.target.with_database(&self.name)
    }

    /// What the database itself is set to must not keep it from being worked on.
    async fn session(&self) -> Result<Session> {
        let session = Session::connect(&self.target(), "lockgate restore").await?;
        session.batch("preparing the session", "SET default_transaction_read_only = off").await?;
        Ok(session)
    }

    async fn batch(&self, doing: &str, sql: &str) -> Result<()> {
        self.session().await?.batch(doing, sql).await
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, String> {
        self.config.stop.race(work).await.map_err(|signal| format!("stopped by {signal}"))
    }
}

/// Counts and hashes the rows as when the backup was taken.
async fn contents(session: &Session, hashes: bool) -> Result<Contents> {
    const DOING: &str = "counting the rows of the tables";
    // Policies that are forced on the owner as well would keep it from counting. The transaction ends as if nothing had been.
    let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;
               SELECT format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', oid::regclass) FROM pg_catalog.pg_class
               WHERE relforcerowsecurity AND relkind = 'r' AND pg_has_role(relowner, 'USAGE')
                 AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)";
    let forced: Vec<String> = session.texts(DOING, sql).await?.into_iter().flatten().flatten().collect();
    session.batch(DOING, &forced.join(";")).await?;
    Contents::of(session, hashes, &[]).await
}

fn no_tools(major: u32, error: &ToolsError) -> Error {
    Error::Backup {
        what: format!("a restore needs the `pg_restore` of PostgreSQL {major}, or a newer one"),
        cause: match error {
            ToolsError::Missing => "none was found".into(),
            ToolsError::TooOld { path, major } => {
                format!("the one beside `{}` is of version {major}", path.display())
            }
        },
        state: NOTHING_CHANGED.into(),
        next: format!(
            "install it (Debian: `apt-get install postgresql-client-{major}`), or name its folder: `--pg-bin`"
        ),
    }
}

/// The lines of a listing of `pg_restore` with the kind of an entry in them.
fn entries(listing: &str, kind: &str) -> String {
    listing.split_inclusive('\n').filter(|line| line.contains(kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_privileges_of_the_schema_itself_are_taken() {
        let entry = "3355; 0 0 ACL - SCHEMA public pg_database_owner\n";
        let listing = format!(
            ";\n{entry}3356; 0 0 ACL public TABLE a x\n5; 2615 2200 SCHEMA - public x\n9; 0 0 ACL - SCHEMA publicity x\n"
        );
        assert_eq!(entries(&listing, " ACL - SCHEMA public "), entry);
    }
}
