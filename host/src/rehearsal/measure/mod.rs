//! What a migration costs: measured while it runs on the copy, scaled to the target's tables, and what that means for those who use
//! them meanwhile.
//!
//! A [`Recorder`] in the configuration of a run is told of each transaction and step by the session that runs them, and asks the server
//! what each has done; a second connection looks which locks are held meanwhile. Without one, a run is what it always is.

mod estimate;
mod forms;
mod hazards;
mod listener;
mod model;
mod reading;
mod recorder;
mod sampler;
mod sizes;
mod verdict;
mod way;

pub(crate) use self::recorder::Told;
pub use self::{
    listener::Listener,
    model::{Basis, Estimate, How, Known, LockHeld, Measured, Step, TableWork},
    recorder::Recorder,
    sizes::Sizes,
    verdict::verdict,
};
