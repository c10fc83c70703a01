//! Migration `003_normalize_phone_numbers` of the auth service: `users.phone`, free text until here, becomes E.164.
//!
//! Up keeps every text that it changes in `users_phone_originals`, and adds a constraint. Down brings the texts
//! back, except where the application has written another number since. Both change all rows in one statement;
//! reading goes in pages, so that memory does not grow with the table.
//!
//! A new notation is nobody's change of an account, so neither direction touches `updated_at` (down could not
//! bring the true times back) or writes an audit row per user (which would copy every number, twice, to a table
//! that outlives the users): one audit row counts them all. See `triggers.rs` and `audit.rs`.
//!
//! Messages and logs name users by id, never by number.

mod audit;
mod down;
mod ids;
mod phone;
mod preflight;
mod triggers;
mod up;
mod users;
mod verify;

use lockgate_plugin::{Description, Direction, Error, Finding, Migration, Reader, Result, Step, Transaction, export};

const NORMALIZE: &str = "normalize";
const RESTORE: &str = "restore";

struct NormalizePhoneNumbers;

impl Migration for NormalizePhoneNumbers {
    fn describe() -> Description {
        Description::new("users.phone becomes E.164", "the Lockgate authors")
    }

    fn preflight(db: &Reader) -> Result<Vec<Finding>> {
        preflight::look(db)
    }

    fn plan(direction: Direction, _: &Reader) -> Result<Vec<Step>> {
        Ok(match direction {
            Direction::Up => vec![
                Step::sql(include_str!("sql/prepare.up.sql")),
                Step::code(NORMALIZE),
                Step::sql(include_str!("sql/constrain.up.sql")),
            ],
            Direction::Down => vec![
                Step::sql(include_str!("sql/release.down.sql")),
                Step::code(RESTORE),
                Step::sql(include_str!("sql/drop.down.sql")),
            ],
        })
    }

    fn run(direction: Direction, step: &str, tx: &Transaction) -> Result<()> {
        match (direction, step) {
            (Direction::Up, NORMALIZE) => up::normalize(tx),
            (Direction::Down, RESTORE) => down::restore(tx),
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

export!(NormalizePhoneNumbers);
