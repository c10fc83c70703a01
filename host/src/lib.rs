#![doc = include_str!("../README.md")]

mod adopt;
#[doc(hidden)]
pub mod backup;
mod bar;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod columns;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod doctor;
#[doc(hidden)]
pub mod embedded;
pub mod error;
#[doc(hidden)]
pub mod events;
#[doc(hidden)]
pub mod failpoint;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod library;
#[doc(hidden)]
pub mod lint;
#[doc(hidden)]
pub mod locks;
#[doc(hidden)]
pub mod migration;
#[doc(hidden)]
mod parallel;
pub mod plan;
#[doc(hidden)]
pub mod plugin;
#[doc(hidden)]
pub mod postgres;
mod printable;
mod programs;
#[doc(hidden)]
pub mod rehearsal;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod runner;
#[doc(hidden)]
pub mod scaffold;
#[doc(hidden)]
pub mod schema;
#[doc(hidden)]
pub mod source;
#[doc(hidden)]
pub mod sql;
#[doc(hidden)]
pub mod step;
#[doc(hidden)]
pub mod stop;
mod suggest;
#[doc(hidden)]
pub mod telemetry;
pub mod testing;
#[doc(hidden)]
pub mod throwaway;
#[doc(hidden)]
pub mod value;

pub use library::{Builder, Lockgate, Stopper};

/// What the calls of [`Lockgate`] return.
pub mod outcome {
    pub use crate::{
        backup::{Manifest, WayBack},
        migration::{Direction, Version},
        plan::{OutOfOrder, State},
        runner::{Done, Health, Outcome, Plan, Planned, PlannedLock, PlannedStatement, Status, StatusRow, Underway},
    };
}
