use lockgate_plugin::{Result, Transaction};

/// The triggers of migration 001 that record changes made by people. Others, that somebody has added, fire.
const RECORDERS: [&str; 2] = ["users_set_updated_at", "users_audit"];

/// Does `work` on `users` unrecorded. Afterwards the triggers are as they were, also one that was disabled; after
/// an error the rollback sees to that. Only those who hold the lock on `users` see a trigger disabled.
pub fn while_quiet<T>(tx: &Transaction, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut restore = Vec::new();
    for name in RECORDERS {
        let found = tx.query(
            "SELECT tgenabled::text FROM pg_trigger WHERE tgrelid = 'users'::regclass AND tgname = $1::text",
            &[name.into()],
        )?;
        let Some(trigger) = found.first() else { continue };
        let enable = match trigger.get(0)? {
            "O" => "ENABLE",
            "A" => "ENABLE ALWAYS",
            "R" => "ENABLE REPLICA",
            _ => continue,
        };
        tx.execute(&format!("ALTER TABLE users DISABLE TRIGGER {name}"), &[])?;
        restore.push(format!("ALTER TABLE users {enable} TRIGGER {name}"));
    }
    let done = work()?;
    for sql in restore {
        tx.execute(&sql, &[])?;
    }
    Ok(done)
}
