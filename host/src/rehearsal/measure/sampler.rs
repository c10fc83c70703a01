//! The second connection's looks at `pg_locks`.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::gauge::Shared;
use crate::{error::Result, locks::Mode, postgres::Session};

/// How often is looked. The server answers in a fraction of this, and what is held for less is held for less than anybody notices.
pub(super) const PERIOD: Duration = Duration::from_millis(10);

/// How many times as long as the server takes to answer it is then left alone: to look must not be what makes it slow.
const REST: u32 = 4;

/// Looks for as long as there is a way under way, and then waits for the next.
pub(super) async fn sample(shared: Arc<Shared>) {
    loop {
        let Some(pid) = shared.pid() else {
            shared.begun.notified().await;
            continue;
        };
        let asked = Instant::now();
        match locks(&shared.session, pid).await {
            Ok(locks) => {
                if let Some(way) = &mut shared.state.lock().unwrap_or_else(PoisonError::into_inner).way {
                    way.sighted(&locks);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "locks are no longer looked at: what was held outside a transaction is not known");
                return;
            }
        }
        tokio::time::sleep(PERIOD.max(asked.elapsed() * REST)).await;
    }
}

/// What a process holds, and what it waits for: whoever comes behind one that waits waits as well.
async fn locks(session: &Session, pid: i32) -> Result<Vec<(u32, Mode)>> {
    let sql = format!(
        "SELECT relation, mode FROM pg_catalog.pg_locks WHERE pid = {pid} AND locktype = 'relation' AND relation >= 16384::oid"
    );
    let rows = session.texts("looking at the locks of a migration", &sql).await?;
    let lock = |row: &Vec<Option<String>>| match row.as_slice() {
        [Some(oid), Some(mode)] => Some((oid.parse().ok()?, Mode::of_pg_locks(mode)?)),
        _ => None,
    };
    Ok(rows.iter().filter_map(lock).collect())
}
