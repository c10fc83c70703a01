//! Lockgate within a program of yours, such as a service that migrates its database when it starts.

use std::{panic::resume_unwind, path::PathBuf, pin::pin, thread, time::Duration};

use tokio::{runtime, sync::oneshot};
use uuid::Uuid;

use crate::{
    backup::Manifest,
    config::{Config, Options},
    error::{Error, Result},
    migration::Version,
    plan::{OutOfOrder, Revert},
    runner::{self, Health, Outcome, Plan, Status},
    stop::{Hand, Stop},
    telemetry::spans,
};

/// A database, a folder of migrations, and how the one is brought to the other; made by [`Lockgate::builder`].
///
/// ```no_run
/// # async fn start() -> lockgate::error::Result<()> {
/// let lockgate = lockgate::Lockgate::builder().dir("migrations").build()?;
/// let outcome = lockgate.up().await?;
/// println!("{} migrations applied", outcome.done.len());
/// # Ok(()) }
/// ```
///
/// Every call is a run as the command's is: with a connection and a correlation id of its own, with lock, checks, backup, verification and
/// journal. Services that start at the same time may all call [`up`](Self::up): one works, the others wait for it and then find nothing to do.
///
/// A run works on threads of its own, so that it neither needs nor holds up the program's runtime. A call that is given up (its future is
/// dropped, as by a time-out) asks its run to stop, which it does where it can do so cleanly.
///
/// Nothing here prints, asks, or handles signals; what happens is told by `tracing`, in spans that carry the run's id.
#[derive(Debug)]
pub struct Lockgate {
    config: Config,
    hand: Hand,
}

impl Lockgate {
    /// Begins with the settings that the command would have: `LOCKGATE_*` aside, those of `DATABASE_URL`, `DB_*`, `PG*` and `lockgate.toml`
    /// in the current folder, each in the stead of its default. What the builder is told comes before all of them.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Connects and tells what the server is.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn test(&self) -> Result<Health> {
        self.run("test", async |config, run_id| runner::test(config, run_id).await).await
    }

    /// Compares the folder with the history, and changes nothing. [`Status::is_current`] says whether there is something to do.
    ///
    /// # Errors
    /// When either cannot be read.
    pub async fn status(&self) -> Result<Status> {
        self.run("status", async |config, run_id| runner::status(config, run_id).await).await
    }

    /// Says what [`up`](Self::up) would do, and changes nothing.
    ///
    /// # Errors
    /// Whatever would stop the run before its first check.
    pub async fn plan(&self) -> Result<Plan> {
        self.run("plan", async |config, run_id| runner::plan_up(config, run_id, None).await).await
    }

    /// Applies what is pending, after a backup.
    ///
    /// # Errors
    /// Whatever stopped the run. [`Error::report`] says what state the database is in and what to do; what was committed before stays.
    pub async fn up(&self) -> Result<Outcome> {
        self.run("up", async |config, run_id| runner::up(config, run_id, None).await).await
    }

    /// Applies what is pending up to and including a version, such as `"004"`.
    ///
    /// # Errors
    /// As [`up`](Self::up); [`Error::Configuration`] when the text is no version.
    pub async fn up_to(&self, version: &str) -> Result<Outcome> {
        let version = read(version)?;
        self.run("up", async move |config, run_id| runner::up(config, run_id, Some(&version)).await).await
    }

    /// Reverts the newest applied version, which must be this one.
    ///
    /// # Errors
    /// As [`up`](Self::up), and when later ones are applied.
    pub async fn down(&self, version: &str) -> Result<Outcome> {
        self.revert(Revert::Only(read(version)?)).await
    }

    /// Reverts everything above a version, the newest first; `"0"` reverts everything.
    ///
    /// # Errors
    /// As [`up`](Self::up).
    pub async fn down_to(&self, version: &str) -> Result<Outcome> {
        self.revert(Revert::Above(read(version)?)).await
    }

    /// Takes a backup of the whole database, and proves it as far as the configuration says.
    ///
    /// # Errors
    /// [`Error::Backup`].
    pub async fn backup(&self) -> Result<Manifest> {
        self.run("backup", async |config, run_id| runner::backup(config, run_id, config.backup.extent()).await).await
    }

    /// What a shutdown of the service holds: it asks runs under way to stop where they can do so cleanly, and those that follow not to
    /// begin. They end with [`Error::Interrupted`].
    pub fn stopper(&self) -> Stopper {
        Stopper(self.hand.clone())
    }

    async fn revert(&self, revert: Revert) -> Result<Outcome> {
        self.run("down", async move |config, run_id| runner::down(config, run_id, &revert).await).await
    }

    /// Runs on threads of its own, to the end: whoever gives it up has asked it to stop.
    async fn run<T, W>(&self, command: &'static str, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: AsyncFnOnce(&Config, Uuid) -> Result<T> + Send + 'static,
    {
        let mut config = self.config.clone();
        let (mut result, awaited) = oneshot::channel();
        // Here, and not in the thread, so that it belongs to the span that the caller is in.
        let run_id = Uuid::now_v7();
        let span = spans::run(run_id, command);
        let thread = thread::Builder::new().name("lockgate".to_owned()).stack_size(STACK).spawn(move || {
            let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(result.send(Err(Error::system("starting the runtime", error)))),
            };
            let done = runtime.block_on(async {
                let (stop, hand) = config.stop.or_by_hand();
                config.stop = stop;
                let mut work = pin!(spans::within(span, work(&config, run_id)));
                tokio::select! {
                    done = &mut work => done,
                    () = result.closed() => {
                        hand.stop(WHO);
                        work.await
                    }
                }
            });
            // A compiler that was abandoned must not keep the thread.
            runtime.shutdown_background();
            let _ = result.send(done);
        });
        let thread = thread.map_err(|e| Error::system("starting a thread", e))?;
        match awaited.await {
            Ok(done) => done,
            Err(_) => match thread.join() {
                Err(panic) => resume_unwind(panic),
                Ok(()) => Err(Error::system("running", "its thread ended without a result")),
            },
        }
    }
}

/// As much as the command has.
const STACK: usize = 8 << 20;

/// Who asks a run to stop, for its error.
const WHO: &str = "the program";

fn read(version: &str) -> Result<Version> {
    Version::parse(version).ok_or_else(|| {
        Error::configuration(
            format!("`{version}` is no version"),
            "write digits, such as 001, or the name of a repeatable migration",
        )
    })
}

/// Asks the runs of one [`Lockgate`] to stop. It may be cloned and sent to wherever the service learns that it is to end.
#[derive(Debug, Clone)]
pub struct Stopper(Hand);

impl Stopper {
    /// Asks. A commit or a swap of databases under way is never cut off.
    pub fn stop(&self) {
        self.0.stop(WHO);
    }
}

/// The settings of a [`Lockgate`]. What is not set here is looked up as the command does it.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    options: Options,
}

impl Builder {
    /// The database, as `postgres://user:password@host:port/name?sslmode=…`.
    pub fn database_url(mut self, url: impl Into<String>) -> Self {
        self.options.database_url = Some(url.into());
        self
    }

    /// The folder of migrations; `migrations` unless set.
    pub fn dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.dir = Some(folder.into());
        self
    }

    /// The layout of that folder, by the name of its tool; the one that it seems to have unless set.
    pub fn layout(mut self, layout: impl Into<String>) -> Self {
        self.options.layout = Some(layout.into());
        self
    }

    /// The configuration file; `lockgate.toml` in the current folder, if there is one, unless set.
    pub fn configuration(mut self, file: impl Into<PathBuf>) -> Self {
        self.options.config = Some(file.into());
        self
    }

    /// The role to take on after the login; none unless set.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.options.role = Some(role.into());
        self
    }

    /// The schema of history and journal; `public` unless set.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.options.schema = Some(schema.into());
        self
    }

    /// What becomes of migrations below the newest applied one; they are refused unless set.
    pub fn out_of_order(mut self, policy: OutOfOrder) -> Self {
        self.options.out_of_order = Some(policy);
        self
    }

    /// Takes no backup before the first change, as where the database's own backups are enough.
    pub fn no_backup(mut self) -> Self {
        self.options.backup.none = true;
        self
    }

    /// Where backups are kept: a folder, or `s3://bucket/prefix` with the feature `s3`; `backups` unless set.
    pub fn backup_dir(mut self, place: impl Into<String>) -> Self {
        self.options.backup.dir = Some(place.into());
        self
    }

    /// The folder of PostgreSQL's programs, for backups; where they usually are unless set.
    pub fn pg_bin(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.pg_bin = Some(folder.into());
        self
    }

    /// How long to wait for another run; five minutes unless set. Services that start together wait as long as the work of one takes.
    pub fn lock_timeout(mut self, patience: Duration) -> Self {
        self.options.lock_timeout = Some(patience);
        self
    }

    /// Applies all that is pending in one transaction: all of it, or nothing. Each has its own unless this is said.
    pub fn atomic(mut self) -> Self {
        self.options.atomic = true;
        self
    }

    /// How often a transaction is tried again that could not have a lock, collided or lost its connection; five times unless set.
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = Some(retries);
        self
    }

    /// How long to look for a server that was lost; a minute unless set.
    pub fn reconnect_timeout(mut self, patience: Duration) -> Self {
        self.options.reconnect_timeout = Some(patience);
        self
    }

    /// The folder of compiled components; `~/.cache/lockgate` unless set.
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.cache_dir = Some(folder.into());
        self
    }

    /// Compiles components in every run, and keeps nothing.
    pub fn no_cache(mut self) -> Self {
        self.options.no_cache = true;
        self
    }

    /// Gathers the settings; nothing is connected to yet.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming the setting and its source.
    pub fn build(self) -> Result<Lockgate> {
        let mut config = Config::load(self.options)?;
        let (stop, hand) = Stop::by_hand();
        config.stop = stop;
        Ok(Lockgate { config, hand })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{Instrument as _, Subscriber, span};
    use tracing_subscriber::{
        Layer,
        layer::{Context, SubscriberExt as _},
        registry::LookupSpan,
    };

    use super::*;

    /// Keeps the names of spans, each with those around it.
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Kept {
        fn on_new_span(&self, _: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
            let span = context.span(id).unwrap();
            let names: Vec<&str> = span.scope().map(|span| span.name()).collect();
            self.0.lock().unwrap().push(names.join(" in "));
        }
    }

    #[tokio::test]
    async fn a_run_belongs_to_the_span_of_its_caller() {
        let kept = Arc::<Mutex<Vec<_>>>::default();
        let subscriber = tracing_subscriber::registry().with(Kept(Arc::clone(&kept)));
        let _guard = tracing::subscriber::set_default(subscriber);
        let lockgate = Lockgate::builder().database_url("postgres://nobody@127.0.0.1:1/none").build().unwrap();
        let failed = lockgate.test().instrument(tracing::info_span!("start-up")).await;
        assert!(matches!(failed, Err(Error::Unreachable { .. })), "{failed:?}");
        assert!(kept.lock().unwrap().contains(&"run in start-up".to_owned()), "{kept:?}");
    }
}
