//! What stands around the server: a pooler on the way to it, a disk that is full.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use lockgate_tests::{Scenario, eventually};
use nix::unistd::{Uid, User, chown};

use crate::{lane::Lane, tally::Tally};

/// Through PgBouncer: refused where two clients may share a session of the server, else as if it were not there.
pub async fn poolers() -> Tally {
    let mut tally = Tally::of("the way leads through PgBouncer (session, transaction, statement)");
    for mode in ["session", "transaction", "statement"] {
        let lane = Lane::plain(&format!("pooler_{mode}"), 3).await;
        let pooler = Pooler::start(&lane.scenario, mode).await;
        let run = lane.run("up --no-backup").env("DB_HOST", "127.0.0.1").env("DB_PORT", pooler.port.to_string());
        let outcome = run.env("DB_SSL_MODE", "disable").await;
        tally.faults += 1;
        if mode == "session" {
            if outcome.code != Some(0) {
                tally.unexplained(format!("{mode}: exit {:?}: {}", outcome.code, outcome.stderr));
            }
        } else {
            if outcome.code == Some(0) || !outcome.stderr.contains("pooler") {
                tally.unexplained(format!("{mode}: exit {:?}, not refused: {}", outcome.code, outcome.stderr));
            }
            if lane.scenario.has_history().await {
                tally.unexplained(format!("{mode}: something was changed"));
            }
        }
        drop(pooler);
        lane.run("up --no-backup").await;
        tally.add(&lane.look_at_the_end(true).await);
    }
    tally.ended()
}

/// Ends with the value.
struct Pooler {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    async fn start(scenario: &Scenario, mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let users = folder.path().join("users.txt");
        fs::write(&users, format!("\"lockgate_owner\" \"{}\"\n", scenario.password().replace('"', "\"\""))).unwrap();
        let settings = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = {mode}\nignore_startup_parameters = extra_float_digits\n",
            scenario.host(),
            scenario.port(),
            users.display()
        );
        fs::write(&settings, text).unwrap();
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.expect("pgbouncer is installed"));
        command.arg(&settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if Uid::effective().is_root() {
            // It refuses to run as root, as the server does.
            let account = User::from_name("postgres").unwrap().expect("an account `postgres`");
            for path in [folder.path(), &users, &settings] {
                chown(path, Some(account.uid), Some(account.gid)).unwrap();
            }
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        let process = command.spawn().unwrap();
        let pooler = Self { process, port, _folder: folder };
        eventually("pgbouncer listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok())
            .await;
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A migration fills the disk that its table is on. Needs root, to make a small disk.
pub async fn full_disk(times: usize) -> Tally {
    let mut tally = Tally::of("the server's disk is full");
    if !Uid::effective().is_root() {
        eprintln!("  left out: only root can mount a small disk");
        return tally.ended();
    }
    let Some(disk) = Disk::of_megabytes(16) else {
        tally.unexplained("no small disk could be mounted");
        return tally.ended();
    };
    let scenario = Scenario::new("full_disk").await;
    let superuser = scenario.superuser().await;
    let place = disk.folder.path().display();
    superuser.lines(&format!("CREATE TABLESPACE small LOCATION '{place}'")).await;
    superuser.lines("GRANT CREATE ON TABLESPACE small TO public").await;
    let scenario = scenario.migration("001_small", "CREATE TABLE t (x text) TABLESPACE small;", "DROP TABLE t;").migration(
        "002_fill",
        "CREATE TABLE before_it (); INSERT INTO t SELECT repeat(md5(i::text), 30) FROM generate_series(1, 100000) i;",
        "DROP TABLE before_it; TRUNCATE t;",
    );
    for _ in 0..times {
        let outcome = scenario.run("up --no-backup").await;
        tally.faults += 1;
        if outcome.code != Some(1) || !outcome.stderr.contains("No space left on device") {
            tally.unexplained(format!("exit {:?}: {}", outcome.code, outcome.stderr));
        }
        if scenario.applied().await != ["001"] {
            tally.unexplained("the history does not end with 001");
        }
        if scenario.value("SELECT to_regclass('before_it') IS NULL AND NOT EXISTS (SELECT FROM t)").await != "t" {
            tally.unexplained("something of a migration that was rolled back is left");
        }
        scenario.is_at_rest().await;
    }
    scenario.run("down --to 0 --no-backup").await;
    superuser.lines("DROP TABLESPACE small").await;
    tally.ended()
}

/// A file system in memory, for as long as the value lives.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn of_megabytes(size: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let account = User::from_name("postgres").unwrap()?;
        let options = format!("size={size}m,uid={},gid={},mode=0700", account.uid, account.gid);
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self { folder })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(self.folder.path()).status();
    }
}
