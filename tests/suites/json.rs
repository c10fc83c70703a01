//! What programs read: every command prints one object that its committed schema describes, and nothing that it does not; a whole run is told
//! in events, each of which has an end.

mod described;
mod docs;
mod events;
mod printed;
