//! What the end-to-end suites are written with: a [`Scenario`] is a fresh database, a fresh folder of migrations, and the command.

// A test that cannot be set up must stop there and say why.
#![allow(clippy::unwrap_used)]

mod call;
pub mod components;
mod database;
mod outcome;
mod programs;
mod scenario;
mod state;
mod wit;

pub use call::{Call, Running};
pub use database::Session;
pub use outcome::Outcome;
pub use scenario::{Scenario, eventually};
pub use state::State;
pub use wit::Interface;
