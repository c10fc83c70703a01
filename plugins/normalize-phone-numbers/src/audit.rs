use lockgate_plugin::{Direction, Result, Transaction};

/// Writes the one audit row that stands for the change of all users.
pub fn record(tx: &Transaction, direction: Direction, users: u64) -> Result<()> {
    let (direction, text) = match direction {
        Direction::Up => ("up", "phone numbers changed to E.164"),
        Direction::Down => ("down", "phone numbers changed back to what was typed"),
    };
    tx.query(
        "SELECT log_audit_event(
             'update', 'user', NULL, 'user: ' || $1::bigint || ' ' || $2::text,
             p_metadata => jsonb_build_object(
                 'migration', '003_normalize_phone_numbers', 'direction', $3::text, 'users', $1::bigint))",
        &[i64::try_from(users).unwrap_or(i64::MAX).into(), text.into(), direction.into()],
    )?;
    Ok(())
}
