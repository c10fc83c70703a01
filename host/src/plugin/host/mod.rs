//! The host's side of the interface: one file an interface of `wit/lockgate.wit`.

mod config;
mod database;
mod log;
mod progress;

pub(super) use log::Logged;
