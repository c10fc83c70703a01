//! A rehearsal: the pending migrations on a throwaway copy, up, down and up again, and what production will see of them.

pub mod certificate;
pub mod contents;
pub mod measure;
mod outcome;
mod settings;
pub mod workload;

pub use self::{
    outcome::{
        Copy, Extent, FORMAT, Fault, FaultCode, Felt, FeltError, Hazard, HazardCode, Migration, Phase, Place,
        Rehearsal, Reversibility, Stage, StageName, StageOutcome, Target, Together, Verdict, Workload,
    },
    settings::{Section, Settings},
};
