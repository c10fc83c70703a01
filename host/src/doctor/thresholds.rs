//! From where on something is told, and where each number comes from.

use std::time::Duration;

/// A query, a transaction or a wait is long from here on, unless `--long` says otherwise. Source: the troubleshooting of the auth service's
/// runbook, "queries over 5 minutes".
pub const LONG: Duration = Duration::from_secs(5 * 60);

/// How long one question of the doctor's own may take: it must not become one of the long queries that it looks for.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a question may wait for a lock. Whoever queues behind it waits no longer than this, and below `deadlock_timeout`, one second by
/// default, the server does not even note the wait.
pub const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the store of the backups may take to answer.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// The share of the connections in use, in percent. Source: the alerts of the auth service's runbook, "connections > 80 % / 95 %".
pub const CONNECTIONS_WARN_PERCENT: i64 = 80;
/// See [`CONNECTIONS_WARN_PERCENT`].
pub const CONNECTIONS_CRITICAL_PERCENT: i64 = 95;

/// Clocks that differ by more confuse ages and expiry times. A server that keeps time by NTP is within a second; five leave room for a
/// slow answer.
pub const CLOCK_SKEW_WARN_MS: i64 = 5_000;

/// How many transactions old a snapshot may be. From this age of a row on, VACUUM freezes it; before, an old snapshot costs little.
/// Source: PostgreSQL manual, `vacuum_freeze_min_age`, whose default it is.
pub const SNAPSHOT_AGE_WARN: i64 = 50_000_000;

/// The write-ahead log that a replica may be behind, or a slot may keep. Source: PostgreSQL manual, `max_wal_size`, whose default it is: from
/// here on the log takes more room than the server was given for it.
pub const WAL_WARN_BYTES: i64 = 1 << 30;

/// At this age of the oldest transaction or multixact id, the server refuses writes; it keeps three million ids back. Source: PostgreSQL
/// manual, "Preventing Transaction ID Wraparound Failures".
pub const IDS_MAX: i64 = 1 << 31;
/// Share of [`IDS_MAX`], in percent: five times what autovacuum lets an id age by default (`autovacuum_freeze_max_age`, 200 million), so
/// that it has failed for long.
pub const IDS_WARN_PERCENT: i64 = 50;
/// Share of [`IDS_MAX`], in percent: about 1.7 billion ids, past `vacuum_failsafe_age` (1.6 billion), where VACUUM drops all else to be done in time.
pub const IDS_CRITICAL_PERCENT: i64 = 80;

/// The share of a table's rows that is dead, in percent. Source: PostgreSQL manual, `autovacuum_vacuum_scale_factor`, of which it is the
/// default: autovacuum should have begun.
pub const DEAD_WARN_PERCENT: i64 = 20;
/// Fewer dead rows cost nothing, whatever their share is.
pub const DEAD_WARN_ROWS: i64 = 10_000;

/// The share of a table that is guessed to be empty, in percent. The guess is rough: below half it means little.
pub const BLOAT_PERCENT: i64 = 50;
/// Less is not worth a rewrite of the table.
pub const BLOAT_BYTES: i64 = 10 << 20;

/// Over a shorter time, that an index was not used says little: weekly work may not have run.
pub const UNUSED_AFTER: Duration = Duration::from_secs(7 * 86_400);

/// The share of a sequence's numbers that is gone, in percent. A wider type is a migration that wants to be planned.
pub const SEQUENCE_WARN_PERCENT: i64 = 75;
/// See [`SEQUENCE_WARN_PERCENT`]: now it is urgent.
pub const SEQUENCE_CRITICAL_PERCENT: i64 = 90;

/// A statement that takes longer on average is slow for an interactive service.
pub const STATEMENT_WARN_MEAN_MS: i64 = 1_000;

/// Age of the newest backup. The retention keeps one a day, so there should be one a day.
pub const BACKUP_WARN_AGE: Duration = Duration::from_secs(86_400);

/// Age of the last drill. A restore that was not tried for a month cannot be relied on; nothing prescribes the number.
pub const DRILL_WARN_AGE: Duration = Duration::from_secs(31 * 86_400);

/// The journal is verified on the way when it has at most so many entries: that takes less than a second.
pub const JOURNAL_QUICK_ENTRIES: i64 = 10_000;

/// How many rows a finding shows at most; its message has the whole number.
pub const ROWS_MAX: usize = 10;
