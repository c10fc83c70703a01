//! A rehearsal: the pending migrations on a throwaway copy, up, down and up again, and what production will see of them.

mod bench;
pub mod certificate;
mod compare;
pub mod contents;
mod cycle;
mod ears;
mod fence;
mod globals;
mod history;
mod mask;
pub mod measure;
mod origin;
mod outcome;
mod place;
mod roles;
mod room;
mod run;
mod settings;
pub mod workload;
mod workspace;

pub use self::{
    origin::Origin,
    outcome::{
        Copy, Extent, FORMAT, Fault, FaultCode, Felt, FeltError, Hazard, HazardCode, Migration, Phase, Place,
        Rehearsal, Reversibility, Stage, StageName, StageOutcome, Target, Together, Verdict, Workload,
    },
    place::On,
    run::{OTHER_VERSION, Order, rehearse},
    settings::{Section, Settings},
};
