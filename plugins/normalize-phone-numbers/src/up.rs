use lockgate_plugin::{Direction, Error, Result, Row, Transaction, Uuid, log};

use crate::{
    audit,
    ids::Ids,
    phone::{self, Reading},
    triggers, users,
};

/// Writes E.164 over every other text, after keeping that.
pub fn normalize(tx: &Transaction) -> Result<()> {
    let mut kept = 0;
    let mut unparseable = Ids::default();
    users::pages(tx, "SELECT users.id, users.phone FROM users WHERE users.phone IS NOT NULL", |rows| {
        kept += keep_originals(tx, rows, &mut unparseable)?;
        Ok(())
    })?;
    // Preflight found none, but ran before the table was locked.
    if !unparseable.is_empty() {
        return Err(Error::new("unparseable-phone", format!("no valid phone number: {unparseable}")));
    }
    let changed = triggers::while_quiet(tx, || {
        tx.execute(
            "UPDATE users SET phone = original.e164 FROM users_phone_originals AS original
             WHERE users.id = original.user_id",
            &[],
        )
    })?;
    if changed != kept {
        return Err(Error::new("row-count", format!("kept {kept} originals, but changed {changed} users")));
    }
    audit::record(tx, Direction::Up, changed)?;
    log::info(format_args!("{changed} phone numbers changed to E.164 or, if blank, to NULL"));
    Ok(())
}

/// Keeps what will change on this page, with what it will become, and returns how many texts these are.
fn keep_originals(tx: &Transaction, rows: &[Row], unparseable: &mut Ids) -> Result<u64> {
    let mut ids = Vec::new();
    let mut numbers = Vec::new();
    for row in rows {
        let id = row.get::<Uuid>("id")?;
        let text = row.get::<&str>("phone")?;
        let number = match phone::read(text) {
            Reading::Blank => None,
            Reading::Number { e164, .. } if e164 == text => continue,
            Reading::Number { e164, .. } => Some(e164),
            Reading::Unparseable => {
                unparseable.push(id);
                continue;
            }
        };
        ids.push(id);
        numbers.push(number);
    }
    tx.execute(
        "INSERT INTO users_phone_originals (user_id, phone, e164)
         SELECT users.id, users.phone, new.e164
         FROM unnest($1::uuid[], $2::text[]) AS new (id, e164)
         JOIN users ON users.id = new.id",
        &[ids.into(), numbers.into()],
    )
}
