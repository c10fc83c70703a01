//! Migration `004_hash_session_tokens` of the auth service: `user_sessions.session_token` and `refresh_token`, plain text
//! until here, become SHA-256 digests, so that a copy of the table opens nobody's session.
//!
//! A stored token reads `sha256:` and 64 hexadecimal digits. The prefix makes a row say by itself whether it is done:
//! tokens are hexadecimal digits too, as a rule, and could not be told from bare digests. So no row is ever hashed twice,
//! whatever was cut off, and a constraint can refuse plain text for ever.
//!
//! # Up
//! 1. `prepare.up.sql`: a trigger hashes what is written in plain text from now on. It stays afterwards: an application that
//!    writes plain tokens stays right. The columns lose their defaults, of which nobody would ever learn the token.
//! 2. `hash`, in batches: reads a page by primary key, hashes it here, writes it back with one UPDATE, and has the server check
//!    every row against its own SHA-256. Rows that the trigger or the application wrote are digests already, and skipped.
//! 3. `constrain.up.sql`, and outside a transaction its VALIDATE, during which everybody reads and writes.
//! 4. `record`: one audit row stands for all sessions.
//!
//! # What the application must do
//! Before `up`, look a token up in both forms: `WHERE session_token IN ($1, 'sha256:' || $2)`, with the SHA-256 of the presented
//! token in lower-case hexadecimal as `$2`; and refuse a presented token that begins with `sha256:`, else a stolen digest
//! would open a session that is not hashed yet. After `up`, in the second form only:
//! `WHERE session_token = session_token_digest($1)`. Generate tokens in the application.
//!
//! # Down
//! Only if the operator set `keep_originals = true` before `up`: the tokens then stay in `user_sessions_token_originals`, and with
//! them the risk that the migration is to end; drop the table when there is no way back to go. Sessions that were opened or
//! renewed since have no original: their digest cannot be undone. Such a session is revoked, or, where only the refresh token is
//! newer, cannot be renewed any more. Like up, down goes in batches that check themselves.
//!
//! Settings in `[plugin.004_hash_session_tokens.config]`: `keep_originals` (`true`; `false` unless set) and `batch_rows` (1 to 50000;
//! unless set, 5000 in the first batch and then as many as the host asks for). Messages and logs never show a token.

mod audit;
mod down;
mod position;
mod preflight;
mod settings;
mod token;
mod up;
mod verify;

use lockgate_plugin::{
    Batch, Checkpoint, Description, Direction, Error, Finding, Grant, Migration, Reader, Result, Step, Transaction,
    export,
};

use crate::settings::Settings;

const HASH: &str = "hash";
const RECORD: &str = "record";
const RESTORE: &str = "restore";
const CHECK: &str = "check";

struct HashSessionTokens;

impl Migration for HashSessionTokens {
    fn describe() -> Description {
        let description = Description::new("session tokens become SHA-256 digests", "the Lockgate authors")
            .wants(Grant::config(settings::KEEP_ORIGINALS), "`true` keeps the plain tokens, so that down is possible")
            .wants(
                Grant::config(settings::BATCH_ROWS),
                "sessions per transaction; unless set, 5000 at first and then what the host asks for",
            );
        // A setting that cannot be read is told by preflight and plan, which can fail.
        match Settings::read() {
            Ok(Settings { keep_originals: true, .. }) => description,
            _ => description.irreversible(),
        }
    }

    fn preflight(db: &Reader) -> Result<Vec<Finding>> {
        preflight::look(db, &Settings::read()?)
    }

    fn plan(direction: Direction, db: &Reader) -> Result<Vec<Step>> {
        match direction {
            Direction::Up => Ok(up::plan(&Settings::read()?)),
            Direction::Down => down::plan(db),
        }
    }

    fn run(direction: Direction, step: &str, tx: &Transaction) -> Result<()> {
        match (direction, step) {
            (Direction::Up, RECORD) => audit::record(tx, direction),
            (Direction::Down, CHECK) => down::check(tx),
            _ => Err(Error::unknown_step(step)),
        }
    }

    fn run_batch(direction: Direction, step: &str, tx: &Transaction, checkpoint: &Checkpoint) -> Result<Batch> {
        let rows = Settings::read()?.batch_rows;
        match (direction, step) {
            (Direction::Up, HASH) => up::hash(tx, checkpoint, rows),
            (Direction::Down, RESTORE) => down::restore(tx, checkpoint, rows),
            _ => Err(Error::unknown_step(step)),
        }
    }

    fn verify(direction: Direction, db: &Reader) -> Result<Vec<Finding>> {
        match direction {
            Direction::Up => verify::up(db),
            Direction::Down => verify::down(db),
        }
    }
}

export!(HashSessionTokens);
