//! What Lockgate promises, seen from outside: each test runs the command against a server and looks at what is left.

// A test that cannot be set up must stop there and say why.
#![allow(clippy::unwrap_used)]

mod folder;
mod up_and_down;
