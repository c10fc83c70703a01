//! Where the database is, and the way there: TCP or socket, one host or several, with or without TLS, as libpq has it.

mod choices;
mod open;
mod password;
mod password_command;
mod refusal;
mod service;
mod target;
mod tls;
mod url;
mod verifier;

pub use choices::{ChannelBinding, LoadBalance, Negotiation, SessionAttributes, TlsMode};
pub use password::{Password, Secret};
pub use service::look_up as look_up_service;
pub use target::{CONNECT_TIMEOUT, Host, Pin, Target};
pub use tls::{Settled, Tls, Trust};
pub use url::{IGNORED, parse_url};
