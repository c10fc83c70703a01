use lockgate_plugin::{Direction, Error, Result, Transaction, Uuid, log};

use crate::{audit, ids::Ids, triggers};

/// Brings every original back, except where the number was changed since `up`: that is news, and stays.
pub fn restore(tx: &Transaction) -> Result<()> {
    let newer = changed_since(tx)?;
    if !newer.is_empty() {
        log::warn(format_args!("changed since, and not changed back: {newer}"));
    }
    let restored = triggers::while_quiet(tx, || {
        tx.execute(
            "UPDATE users SET phone = original.phone FROM users_phone_originals AS original
             WHERE users.id = original.user_id AND users.phone IS NOT DISTINCT FROM original.e164",
            &[],
        )
    })?;
    let originals: i64 = tx.query_one("SELECT count(*) FROM users_phone_originals", &[])?.get(0)?;
    // The table is gone when `verify` looks, so this is the place to compare.
    let back: i64 = tx
        .query_one(
            "SELECT count(*) FROM users_phone_originals AS original JOIN users ON users.id = original.user_id
             WHERE users.phone = original.phone",
            &[],
        )?
        .get(0)?;
    let missing = u64::try_from(originals - back).unwrap_or_default();
    if missing > newer.count() as u64 {
        return Err(Error::new("not-restored", format!("{missing} of {originals} original numbers are not back")));
    }
    audit::record(tx, Direction::Down, restored)?;
    log::info(format_args!("{restored} phone numbers are as they were typed"));
    Ok(())
}

fn changed_since(tx: &Transaction) -> Result<Ids> {
    // Counted by the server: there may be more than a result may hold.
    let rows = tx.query(
        "SELECT users.id, count(*) OVER () AS total
         FROM users_phone_originals AS original JOIN users ON users.id = original.user_id
         WHERE users.phone IS DISTINCT FROM original.e164 ORDER BY users.id LIMIT $1",
        &[(Ids::SHOWN_MAX as i64).into()],
    )?;
    let total = rows.first().map_or(Ok(0), |row| row.get::<i64>("total"))?;
    let first = rows.iter().map(|row| row.get::<Uuid>("id")).collect::<Result<_>>()?;
    Ok(Ids::of(first, usize::try_from(total).unwrap_or(usize::MAX)))
}
