//! Databases that nobody but one process uses, filled from a backup, and more of them after that: what rehearsals run on.
//!
//! They have the names and the marks of the databases that proofs of backups make, so that whoever comes next removes them if this process
//! cannot.

use uuid::Uuid;

use super::{
    Fresh, Phase, Way, drop_database,
    leftovers::{self, Stage, mark},
    maintenance, name, roles, suffix, why,
};
use crate::{
    backup::{Backup, Properties, kept},
    config::Config,
    error::{Error, NOTHING_CHANGED, Result},
    postgres::{Session, Target, lock, quote_ident, quote_literal},
};

/// See the module.
pub struct Copies {
    /// The configuration, with the server of the copies in the stead of that of the database.
    config: Config,
    admin: Session,
    run_id: Uuid,
    /// Those that are there.
    names: Vec<String>,
    /// How long each part took.
    pub phases: Vec<Phase>,
}

/// What a copy is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// As the database that it is a copy of: on a server of its own.
    AsItself,
    /// By a name of its own.
    Aside,
}

impl Copies {
    /// Connects to the server, and removes what dead processes have left of such databases. `server` names the database that is copied.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn on(config: &Config, server: &Target, run_id: Uuid) -> Result<Self> {
        let config = Config { target: server.clone(), ..config.clone() };
        let admin = maintenance(&config.target, run_id).await?;
        leftovers::clean_up(&admin, &config.target.database).await?;
        Ok(Self { config, admin, run_id, names: Vec::new(), phases: Vec::new() })
    }

    /// The session beside them, for what concerns their server.
    pub fn admin(&self) -> &Session {
        &self.admin
    }

    /// Fills one from a backup and returns its name.
    ///
    /// # Errors
    /// [`Error::Backup`] and refusals; then nothing is left.
    pub async fn fill(&mut self, backup: &Backup) -> Result<String> {
        let properties = kept::properties(&self.config, backup).await?;
        let mut fresh = Fresh::of(&self.config, &self.admin, self.run_id, backup, "scratch", &Way::default()).await?;
        let owner = owner(&self.admin, &fresh.name, &properties).await?;
        let failed = |cause| match self.config.stop.asked() {
            Some(signal) => Error::Interrupted { signal, state: NOTHING_CHANGED.into() },
            None => Error::Backup {
                what: format!("no copy could be made of backup `{}`", backup.manifest.id),
                cause,
                state: NOTHING_CHANGED.into(),
                next: "mend the cause, or rehearse elsewhere: `--on embedded`, `--on container`, or a URL".into(),
            },
        };
        fresh.check_files().await.map_err(failed)?;
        fresh.check_roles(&properties, &owner).await?;
        let filled = async {
            fresh.create(&properties, &owner).await?;
            fresh.fill().await?;
            match backup.manifest.scope.schema_only {
                true => fresh.restore_statistics().await,
                false => fresh.analyze().await,
            }
        };
        if let Err(cause) = filled.await {
            fresh.discard().await;
            return Err(failed(cause));
        }
        self.names.push(fresh.name.clone());
        self.phases.append(&mut fresh.phases);
        Ok(fresh.name)
    }

    /// Makes one that is like another, in which nobody may be at work, and returns its name: that of the database itself, where this server
    /// has none of that name and nobody else uses it, so that statements which name their database work.
    ///
    /// # Errors
    /// When the server has no room for it, or somebody is at work in the other.
    pub async fn twin(&mut self, of: &str, named: Named) -> Result<String> {
        const DOING: &str = "making another copy";
        let database = &self.config.target.database;
        let name = match named {
            Named::AsItself => database.clone(),
            Named::Aside => name(database, "scratch", &suffix(Uuid::now_v7())),
        };
        if let Some(holder) = lock::claim(&self.admin, &name).await? {
            return Err(Error::RestoreUnderWay { database: name, holder });
        }
        // Its files are copied: to write all of it to the log as well would burden whoever else uses the server.
        let strategy = if self.admin.server.major() >= 15 { " STRATEGY file_copy" } else { "" };
        let (quoted, template) = (quote_ident(&name), quote_ident(of));
        let owner = format!(
            "SELECT quote_ident(pg_get_userbyid(datdba)) FROM pg_catalog.pg_database WHERE datname = {}",
            quote_literal(of)
        );
        let owner = self.admin.texts(DOING, &owner).await?.into_iter().flatten().flatten().next().unwrap_or_default();
        let make =
            format!("CREATE DATABASE {quoted} TEMPLATE {template} OWNER {owner} ALLOW_CONNECTIONS false{strategy}");
        // It may be made even where nobody waits for that any longer.
        self.names.push(name.clone());
        self.unless_stopped(self.admin.batch(DOING, &make)).await??;
        let mark = quote_literal(&mark(database, self.run_id, Stage::Filling));
        let open = format!(
            "BEGIN; COMMENT ON DATABASE {quoted} IS {mark}; REVOKE ALL ON DATABASE {quoted} FROM PUBLIC;
             GRANT CONNECT, TEMPORARY ON DATABASE {quoted} TO SESSION_USER;
             ALTER DATABASE {quoted} ALLOW_CONNECTIONS true; COMMIT"
        );
        self.admin.batch(DOING, &open).await?;
        self.carry_settings(of, &name).await;
        Ok(name)
    }

    /// What the database itself is set to is no part of a template.
    async fn carry_settings(&self, of: &str, to: &str) {
        let settings = match Properties::of(&self.admin, of).await {
            Ok(properties) => properties.map(|properties| properties.settings).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "the settings of the database are not known, so its copy has none");
                return;
            }
        };
        super::create::set(&self.admin, to, &settings).await;
    }

    /// Drops one.
    ///
    /// # Errors
    /// Why that cannot be done: then it is still there.
    pub async fn discard(&mut self, name: &str) -> Result<()> {
        drop_database(&self.admin, name).await?;
        lock::disclaim(&self.admin, name).await?;
        self.names.retain(|there| there != name);
        Ok(())
    }

    /// Drops all that are left.
    ///
    /// # Errors
    /// [`Error::Backup`], naming those that could not be dropped.
    pub async fn discard_all(&mut self) -> Result<()> {
        let mut left = Vec::new();
        for name in std::mem::take(&mut self.names).into_iter().rev() {
            if let Err(error) = drop_database(&self.admin, &name).await {
                left.push(format!("`{name}`: {}", why(&error)));
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(Error::Backup {
            what: "a copy of the database is left".into(),
            cause: left.join("; "),
            state: "the database itself was not touched".into(),
            next: "mend the cause, then run `lockgate restore --clean-up`".into(),
        })
    }

    /// How to connect to one of them.
    pub fn target(&self, name: &str) -> Target {
        self.config.target.with_database(name)
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let stopped = |signal| Error::Interrupted { signal, state: NOTHING_CHANGED.into() };
        self.config.stop.race(work).await.map_err(stopped)
    }
}

/// Whose the database is, if it may be made his; else that of whoever makes it.
async fn owner(admin: &Session, name: &str, properties: &Properties) -> Result<String> {
    if !properties.owner.is_empty() && roles::may_make(admin, name, &properties.owner, false).await.is_ok() {
        return Ok(properties.owner.clone());
    }
    let own = admin.server.user.clone();
    roles::may_make(admin, name, &own, false).await?;
    Ok(own)
}
