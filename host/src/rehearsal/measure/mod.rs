//! What a migration costs: measured while it runs on the copy, scaled to the target's tables, and what that means for those who use
//! them meanwhile.
//!
//! A [`Gauge`] in the configuration of a run is told of each transaction and step by the session that runs them, and asks the server what
//! each has done; a second connection looks which locks are held meanwhile. Without one, a run is what it always is.

mod estimate;
mod forms;
mod gauge;
mod hazards;
mod listener;
mod model;
mod reading;
mod sampler;
mod sizes;
mod verdict;
mod way;

pub(super) use self::reading::tell_statistics;
pub use self::{
    gauge::Gauge,
    listener::Listener,
    model::{Basis, Estimate, Known, LockHeld, Measured, Step, TableWork},
    sizes::Sizes,
    verdict::verdict,
};
