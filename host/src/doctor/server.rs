//! The server itself: its version, its clock, the way to it, and settings that endanger data.

use async_trait::async_trait;
use jiff::{
    Timestamp,
    civil::{Date, date},
    tz::Offset,
};

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Rows, Unit, column},
    thresholds::CLOCK_SKEW_WARN_MS,
};

pub struct Server;

/// A major version: when its last minor release comes, and the newest minor release when this was written.
struct Release {
    major: u32,
    ends: Date,
    newest: i32,
}

/// Source: <https://www.postgresql.org/support/versioning/>, "Releases"; the newest minor releases are those of May 2026, and of 15 and
/// 18 those of November 2026. A later one is not missed, a former one is told.
const RELEASES: [Release; 6] = [
    Release { major: 13, ends: date(2025, 11, 13), newest: 23 },
    Release { major: 14, ends: date(2026, 11, 12), newest: 23 },
    Release { major: 15, ends: date(2027, 11, 11), newest: 20 },
    Release { major: 16, ends: date(2028, 11, 9), newest: 14 },
    Release { major: 17, ends: date(2029, 11, 8), newest: 10 },
    Release { major: 18, ends: date(2030, 11, 14), newest: 6 },
];

/// Half a year before the end there is still time to plan an upgrade.
const WARN_DAYS_BEFORE_END: i32 = 183;

const SQL: &str = "
    SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::bigint,
           current_setting('fsync'), current_setting('full_page_writes'), current_setting('autovacuum'), current_setting('track_counts'),
           current_setting('data_checksums'),
           (SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings WHERE pending_restart),
           inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1'";

#[async_trait(?Send)]
impl Check for Server {
    fn name(&self) -> &'static str {
        "server"
    }

    fn about(&self) -> &'static str {
        "version and its end of life, clock, TLS, settings that endanger data"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let server = &look.patient.session.server;
        let today = Offset::UTC.to_datetime(Timestamp::now()).date();
        let maintained = version(look, server.version_num, today);
        let standby = if server.in_recovery { ", a standby" } else { "" };
        let tls = server.tls.as_deref().unwrap_or("no TLS");
        let row = look.ask_one(SQL).await?;
        look.say(format!(
            "PostgreSQL {}{standby}, {maintained}; {tls}, clock {:+} ms against ours",
            server.version.split(' ').next().unwrap_or_default(),
            server.clock_skew_ms
        ));
        let columns = [
            column("up", Unit::Seconds),
            column("fsync", Unit::Text),
            column("full page writes", Unit::Text),
            column("autovacuum", Unit::Text),
            column("track counts", Unit::Text),
            column("data checksums", Unit::Text),
            column("pending restart", Unit::Text),
        ];
        look.facts(Rows::of(&columns, [&row]));
        if server.clock_skew_ms.abs() >= CLOCK_SKEW_WARN_MS {
            look.find(
                Finding::new(
                    Severity::Warn,
                    "clock-skew",
                    format!("the server's clock differs from ours by {:+} ms", server.clock_skew_ms),
                )
                .advice("let both keep time by NTP: ages, expiry times and one-time passwords go by it"),
            );
        }
        if server.tls.is_none() && !row.is(7) {
            look.find(
                Finding::new(Severity::Warn, "no-tls", "the connection is not encrypted, and leaves this machine")
                    .statements(["DB_SSL_MODE=verify-full".to_owned()])
                    .advice("turn `ssl` on at the server, and demand it"),
            );
        }
        for (i, name, harm) in [
            (1, "fsync", "a crash of the machine can destroy the whole server's data"),
            (2, "full_page_writes", "a crash of the machine can destroy pages"),
            (3, "autovacuum", "dead rows stay, statistics grow old, and transaction ids run out"),
            (4, "track_counts", "autovacuum does not know what to do, and this command sees less"),
        ] {
            if row.text(i) == "off" {
                look.find(
                    Finding::new(Severity::Warn, "unsafe-setting", format!("`{name}` is off: {harm}"))
                        .statements([format!("ALTER SYSTEM SET {name} = on"), "SELECT pg_reload_conf()".to_owned()])
                        .advice("turn it on, unless this server can be thrown away"),
                );
            }
        }
        if let Some((what, next)) = server.without_triggers() {
            look.find(
                Finding::new(Severity::Critical, "triggers-off", what)
                    .statements(["SELECT source FROM pg_settings WHERE name = 'session_replication_role'".to_owned()])
                    .advice(next),
            );
        }
        if let Some(names) = row.maybe(6) {
            look.find(
                Finding::new(
                    Severity::Info,
                    "pending-restart",
                    format!("settings were changed that wait for a restart: {names}"),
                )
                .statements([
                    "SELECT name, setting, sourcefile, sourceline FROM pg_settings WHERE pending_restart".to_owned()
                ])
                .advice("restart the server when there is time for it"),
            );
        }
        Ok(())
    }
}

/// Notes what is wrong with the version, and tells how long it is maintained.
fn version(look: &mut Look<'_>, version_num: i32, today: Date) -> String {
    let (major, minor) = (u32::try_from(version_num / 10_000).unwrap_or(0), version_num % 10_000);
    let Some(release) = RELEASES.iter().find(|release| release.major == major) else {
        let oldest = RELEASES[0].major;
        if major < oldest {
            look.find(ended(major, "for long"));
        }
        return "newer than this Lockgate knows".to_owned();
    };
    let (ends, days) = (release.ends, days_until(release.ends, today));
    if days < 0 {
        look.find(ended(major, &format!("since {ends}")));
    } else if days < WARN_DAYS_BEFORE_END {
        look.find(
            Finding::new(Severity::Warn, "version-ends", format!("PostgreSQL {major} is maintained until {ends} only"))
                .advice("plan the upgrade (`pg_upgrade`, or a backup and a restore)"),
        );
    }
    if minor < release.newest {
        let message = format!(
            "PostgreSQL {major}.{minor} lacks the fixes of {major}.{}, and perhaps of later ones",
            release.newest
        );
        look.find(Finding::new(Severity::Warn, "version-behind", message).advice(format!(
            "a minor update needs a restart and no more: https://www.postgresql.org/docs/release/{major}.{}/",
            release.newest
        )));
    }
    if days < 0 { format!("not maintained since {ends}") } else { format!("maintained until {ends}") }
}

fn ended(major: u32, since: &str) -> Finding {
    let message = format!("PostgreSQL {major} is no longer maintained, {since}: no hole in it is mended");
    Finding::new(Severity::Warn, "version-ended", message).advice("upgrade (`pg_upgrade`, or a backup and a restore)")
}

fn days_until(date: Date, today: Date) -> i32 {
    date.duration_since(today).as_hours().try_into().map_or(i32::MAX, |hours: i32| hours / 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_end_in_their_order() {
        assert!(RELEASES.windows(2).all(|pair| pair[0].major + 1 == pair[1].major && pair[0].ends < pair[1].ends));
    }

    #[test]
    fn days_are_counted() {
        assert_eq!(days_until(date(2026, 11, 12), date(2026, 11, 26)), -14);
        assert_eq!(days_until(date(2027, 11, 11), date(2027, 11, 10)), 1);
    }
}
