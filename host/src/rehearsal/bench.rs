//! The copy that is worked on: runs on it, what it is like now, and a new one from the base when a fault has spoilt it.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use uuid::Uuid;

use super::{
    Settings,
    contents::Contents,
    ears::Ears,
    fence::Fence,
    globals::Globals,
    measure::{Gauge, Sizes, tell_statistics},
    roles::{self, Roles},
};
use crate::{
    backup::{self, Copies, Named},
    config::Config,
    error::{Error, Result},
    migration::Version,
    plan::Revert,
    postgres::{Process, Session, Target, history::History},
    runner,
    schema::Schema,
    stop::Stop,
};

/// What a database is at one moment.
#[derive(Clone)]
pub(super) struct Moment {
    pub(super) schema: Schema,
    pub(super) contents: Contents,
}

/// See the module.
pub(super) struct Bench<'a> {
    /// The configuration of the runs.
    config: Config,
    copies: &'a mut Copies,
    base: String,
    named: Named,
    runner: Target,
    sizes: Sizes,
    history: History,
    name: Option<String>,
    /// What the server has beside its databases, and had at the beginning.
    globals: Globals,
    /// What migrations have changed of that.
    touched: BTreeSet<String>,
    /// The roles to be made again, where nobody else uses the server.
    roles: Option<Roles>,
    /// Looks at what is on it. It stays: a new session would first have to read what the old one knows of the catalog.
    eyes: Option<Session>,
    /// Counts rows, as `reader`.
    counter: Option<Session>,
    reader: Target,
    pub(super) gauge: Option<Gauge>,
    pub(super) ears: Arc<Ears>,
}

impl<'a> Bench<'a> {
    /// Nothing is on it yet. `runner` is who migrates, `reader` who may read all rows; `roles` are those of the target, where the server is the rehearsal's own.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) async fn new(
        config: &Config,
        copies: &'a mut Copies,
        base: String,
        runner: Target,
        reader: Target,
        sizes: Sizes,
        roles: Option<Roles>,
    ) -> Result<Self> {
        let mut rehearsal = config.rehearsal.clone();
        rehearsal.require = false;
        let config = Config {
            backup: backup::Settings::none(),
            throwaway: true,
            draw: false,
            atomic: false,
            rehearsal,
            ..config.clone()
        };
        let (ears, history) = (Arc::new(Ears::default()), History::in_schema(&config.schema));
        let named = if roles.is_some() { Named::AsItself } else { Named::Aside };
        let (globals, touched) = (Globals::read(copies.admin(), &runner.database).await?, BTreeSet::new());
        Ok(Self {
            globals,
            touched,
            roles,
            config,
            copies,
            base,
            named,
            runner,
            sizes,
            history,
            name: None,
            eyes: None,
            counter: None,
            reader,
            gauge: None,
            ears,
        })
    }

    /// Puts a new copy of the base on it.
    ///
    /// # Errors
    /// When there is none to be had.
    pub(super) async fn renew(&mut self) -> Result<()> {
        self.clear().await?;
        self.reset_globals().await?;
        let name = self.copies.twin(&self.base, self.named).await?;
        self.config.target = self.runner.with_database(&name);
        self.name = Some(name);
        let gauge = Gauge::start(&self.config.target, &self.config.schema, self.sizes.clone()).await?;
        gauge.listen(self.ears.clone());
        self.config.recorder = Some(match self.named {
            Named::AsItself => Arc::new(gauge.clone()),
            // Others use the server.
            Named::Aside => Fence::around(gauge.clone()),
        });
        self.gauge = Some(gauge);
        Ok(())
    }

    async fn reset_globals(&mut self) -> Result<()> {
        let now = Globals::read(self.copies.admin(), &self.runner.database).await?;
        self.touched.extend(self.globals.until(&now));
        let Some(roles) = self.roles.as_ref().filter(|_| now != self.globals) else { return Ok(()) };
        self.globals.reset(self.copies.admin(), &self.runner.database).await?;
        roles::make(self.copies.admin(), roles).await
    }

    /// What migrations have changed beside their database, a sentence each.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) async fn touched(&self) -> Result<Vec<String>> {
        let now = Globals::read(self.copies.admin(), &self.runner.database).await?;
        let mut touched = self.touched.clone();
        touched.extend(self.globals.until(&now));
        Ok(touched.into_iter().collect())
    }

    /// Drops what is on it.
    ///
    /// # Errors
    /// When it cannot be dropped.
    pub(super) async fn clear(&mut self) -> Result<()> {
        self.config.recorder = None;
        for eyes in [self.eyes.take(), self.counter.take()].into_iter().flatten() {
            eyes.hang_up();
        }
        if let Some(gauge) = self.gauge.take() {
            gauge.stop();
        }
        match self.name.take() {
            Some(name) => self.copies.discard(&name).await,
            None => Ok(()),
        }
    }

    /// How to connect to what is on it.
    pub(super) fn target(&self) -> &Target {
        &self.config.target
    }

    /// Applies up to this version.
    ///
    /// # Errors
    /// As [`runner::up`].
    pub(super) async fn up(&self, to: &Version) -> Result<()> {
        runner::up(&self.config, Uuid::now_v7(), Some(to)).await.map(drop)
    }

    /// The same, until this says stop.
    ///
    /// # Errors
    /// As [`runner::up`].
    pub(super) async fn up_until(&self, stop: Stop, to: &Version) -> Result<()> {
        let config = Config { stop, ..self.config.clone() };
        runner::up(&config, Uuid::now_v7(), Some(to)).await.map(drop)
    }

    /// Reverts the newest.
    ///
    /// # Errors
    /// As [`runner::down`].
    pub(super) async fn down(&self, version: &Version) -> Result<()> {
        runner::down(&self.config, Uuid::now_v7(), &Revert::Only(version.clone())).await.map(drop)
    }

    /// The signals that the whole rehearsal listens to.
    pub(super) fn stop(&self) -> &Stop {
        &self.config.stop
    }

    /// How migrations are rehearsed.
    pub(super) fn settings(&self) -> &Settings {
        &self.config.rehearsal
    }

    /// The folder of PostgreSQL's programs, where one is set.
    pub(super) fn pg_bin(&self) -> Option<&Path> {
        self.config.pg_bin.as_deref()
    }

    /// How large what is on it is, in bytes.
    ///
    /// # Errors
    /// When the server does not say.
    pub(super) async fn bytes(&mut self) -> Result<u64> {
        let sql = "SELECT pg_database_size(current_database())";
        self.open_eyes().await?;
        let rows = self.eyes()?.texts("measuring the copy", sql).await?;
        Ok(rows.into_iter().flatten().flatten().next().and_then(|text| text.parse().ok()).unwrap_or_default())
    }

    /// Looks at what is on it, anew.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub(super) async fn look(&mut self) -> Result<Moment> {
        self.open_eyes().await?;
        let (eyes, counter, history) = (self.eyes()?, self.counter()?, &self.history);
        let schema = Schema::read(eyes, history).await?;
        let contents = Contents::read(counter, history).await?;
        self.has_only_looked().await?;
        Ok(Moment { schema, contents })
    }

    /// The same, where rows are only read again that may have changed since.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub(super) async fn look_again(&mut self, since: &Moment) -> Result<Moment> {
        self.open_eyes().await?;
        let (eyes, counter, history) = (self.eyes()?, self.counter()?, &self.history);
        let own = [eyes, counter].map(|session| session.server.process.clone());
        let readers: Vec<Process> = self.gauge.iter().map(Gauge::process).chain(own).collect();
        let schema = Schema::read(eyes, history).await?;
        let contents = since.contents.again(counter, history, &readers).await?;
        self.has_only_looked().await?;
        Ok(Moment { schema, contents })
    }

    /// What was read is not to be counted later, as if the next migration had read it.
    async fn has_only_looked(&self) -> Result<()> {
        for session in [&self.eyes, &self.counter].into_iter().flatten() {
            tell_statistics(session).await?;
        }
        Ok(())
    }

    /// Opens the sessions that look, where they are not open. The schema is looked at as whoever migrates sees it, as on the target; rows are
    /// counted by whoever may read all of them.
    async fn open_eyes(&mut self) -> Result<()> {
        let is_gone = |session: &Option<Session>| session.as_ref().is_none_or(Session::is_closed);
        if is_gone(&self.eyes) {
            self.eyes = Some(Session::connect(&self.config.target, APPLICATION).await?);
        }
        if is_gone(&self.counter) {
            let target = self.reader.with_database(&self.config.target.database);
            self.counter = Some(Session::connect(&target, APPLICATION).await?);
        }
        Ok(())
    }

    fn eyes(&self) -> Result<&Session> {
        self.eyes.as_ref().ok_or_else(|| Error::system(LOOKING, "there is no session"))
    }

    fn counter(&self) -> Result<&Session> {
        self.counter.as_ref().ok_or_else(|| Error::system(LOOKING, "there is no session"))
    }
}

const APPLICATION: &str = "lockgate rehearse";
const LOOKING: &str = "looking at the copy";
