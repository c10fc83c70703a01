use lockgate_plugin::{Direction, Result, Transaction, params};

/// Writes the one audit row that stands for the change of all sessions.
pub fn record(tx: &Transaction, direction: Direction) -> Result<()> {
    let (direction, text) = match direction {
        Direction::Up => ("up", "tokens changed to SHA-256 digests"),
        Direction::Down => ("down", "digests changed back to tokens"),
    };
    tx.query(
        "SELECT log_audit_event(
             'update', 'user_session', NULL, 'user_session: ' || count(*) || ' ' || $1::text,
             p_metadata => jsonb_build_object(
                 'migration', '004_hash_session_tokens', 'direction', $2::text, 'sessions', count(*)))
         FROM user_sessions",
        params![text, direction],
    )?;
    Ok(())
}
