//! The host's side of the interface: one file an interface of `wit/lockgate.wit`.

mod database;
mod log;

pub(super) use log::printable;
