//! A test kit for the authors of plugins: a throwaway database, one plugin on it, and claims about what came of it.
//!
//! Put `lockgate` with the feature `testing` and `tokio` among the crate's `dev-dependencies`. A test then reads:
//!
//! ```no_run
//! use lockgate::{migration::Direction, testing::{Database, Plugin, Result}};
//!
//! #[tokio::test]
//! async fn names_are_filled_and_emptied_again() -> Result<()> {
//!     let database = Database::start().await?;
//!     database.run("CREATE TABLE users (id int, name text); INSERT INTO users VALUES (1, NULL)").await?;
//!
//!     let plugin = Plugin::load("target/fill_names.wasm").await?;
//!     let trial = plugin.on(&database);
//!     trial.preflight().await?.is_clean();
//!     assert_eq!(trial.plan(Direction::Up).await?, ["code: fill", "sql: ALTER TABLE users ALTER name SET NOT NULL"]);
//!
//!     trial.up().await?;
//!     assert_eq!(database.rows("SELECT id, name FROM users").await?, [["1", "nobody"]]);
//!     trial.verify(Direction::Up).await?.is_clean();
//!
//!     trial.down().await?;
//!     trial.left_nothing_behind().await
//! }
//! # fn main() {}
//! ```
//!
//! What the operator would grant in `lockgate.toml`, a test grants to the plugin, and so it shows what happens without:
//!
//! ```no_run
//! # use lockgate::testing::{Database, Plugin, Result};
//! # async fn granted(database: &Database) -> Result<()> {
//! let plugin = Plugin::build("plugins/fill-names").await?.grant_clock().config("name", "somebody");
//! plugin.on(database).up().await?;
//! # Ok(()) }
//! ```
//!
//! # The server
//! One a process, started by the first [`Database`] and ended with the process, however that ends. It is a container where Docker
//! answers (image `postgres:17`, or `LOCKGATE_TEST_IMAGE`), else it runs from this machine's PostgreSQL programs (the newest, or those
//! in `LOCKGATE_PG_BIN`). `LOCKGATE_TEST_DATABASE`, `container` or `embedded`, decides if it is set. Without the feature `testing`
//! there are no containers.
//!
//! # Without Rust
//! `lockgate plugin test` runs a [`cycle`] on any component, whatever it was written in.

mod connection;
pub mod cycle;
mod database;
mod failure;
mod findings;
mod plugin;
mod state;
mod trial;

pub use crate::throwaway::Server;
pub use connection::Connection;
pub use database::Database;
pub use failure::{Failure, Result};
pub use findings::Findings;
pub use plugin::Plugin;
pub use state::{Difference, State};
pub use trial::Trial;
