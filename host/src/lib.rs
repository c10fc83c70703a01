#![doc = include_str!("../README.md")]

mod adopt;
pub mod backup;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod embedded;
pub mod error;
pub mod failpoint;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod lint;
pub mod locks;
pub mod migration;
pub mod plan;
pub mod plugin;
pub mod postgres;
mod printable;
mod programs;
pub mod rehearsal;
pub mod report;
pub mod runner;
pub mod scaffold;
pub mod schema;
pub mod source;
pub mod sql;
pub mod step;
pub mod stop;
mod suggest;
pub mod telemetry;
pub mod testing;
pub mod throwaway;
pub mod value;
