use lockgate_plugin::{Finding, Reader, Result, Row};

use crate::{
    ids::Ids,
    phone::{self, Reading},
    users,
};

/// Every number is its own E.164 form, and every original reads as the number that replaced it.
pub fn up(db: &Reader) -> Result<Vec<Finding>> {
    let mut wrong = Ids::default();
    let query = "SELECT users.id, users.phone, original.phone AS original, original.e164
                 FROM users LEFT JOIN users_phone_originals AS original ON original.user_id = users.id
                 WHERE (users.phone IS NOT NULL OR original.user_id IS NOT NULL)";
    users::pages(db, query, |rows| {
        for row in rows {
            if !is_normalized(row)? {
                wrong.push(row.get("id")?);
            }
        }
        Ok(())
    })?;
    if wrong.is_empty() {
        return Ok(Vec::new());
    }
    let message = format!("the phone is not the E.164 form of what it was: {wrong}");
    Ok(vec![Finding::block("not-normalized", message)])
}

fn is_normalized(row: &Row) -> Result<bool> {
    let phone = row.get::<Option<&str>>("phone")?;
    let Some(original) = row.get::<Option<&str>>("original")? else {
        return Ok(phone.is_some_and(is_e164));
    };
    let same_reading = match phone::read(original) {
        Reading::Blank => phone.is_none(),
        Reading::Number { e164, .. } => phone == Some(&e164) && is_e164(&e164),
        Reading::Unparseable => false,
    };
    Ok(same_reading && phone != Some(original) && phone == row.get("e164")?)
}

fn is_e164(phone: &str) -> bool {
    matches!(phone::read(phone), Reading::Number { e164, .. } if e164 == phone)
}

/// Nothing of `up` is left. Whether the originals are back was checked while they could be compared.
pub fn down(db: &Reader) -> Result<Vec<Finding>> {
    let left = db.query(
        "SELECT 'table users_phone_originals' WHERE to_regclass('users_phone_originals') IS NOT NULL
         UNION ALL
         SELECT 'constraint users_phone_is_e164' FROM pg_constraint
         WHERE conrelid = 'users'::regclass AND conname = 'users_phone_is_e164'",
        &[],
    )?;
    left.iter()
        .map(|row| Ok(Finding::block("left-over", format!("the {} is still there", row.get::<&str>(0)?))))
        .collect()
}
