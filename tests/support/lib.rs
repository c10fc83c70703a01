//! What the end-to-end suites are written with: a [`Scenario`] is a fresh database, a fresh folder of migrations, and the command.

// A test that cannot be set up must stop there and say why.
#![allow(clippy::unwrap_used)]

mod authority;
mod call;
mod collector;
pub mod components;
mod outcome;
mod programs;
mod proxy;
mod receiver;
pub mod s3;
mod scenario;
mod secrets;
mod secure;
mod session;
mod standby;
mod wasi_guest;
mod wit;

pub use call::{Call, Running};
pub use collector::{Attributes, ReceivedPoint, ReceivedSpan};
pub use lockgate::testing::State;
pub use outcome::Outcome;
pub use proxy::{Harm, Meant, Proxy};
pub use receiver::{Manner, Received, Receiver, nowhere};
pub use s3::S3Server;
pub use scenario::{Scenario, eventually, make_old, project};
pub use secrets::Secrets;
pub use secure::SecureServer;
pub use session::Session;
pub use standby::Standby;
pub use wasi_guest::WasiGuest;
pub use wit::Interface;
