//! A server that follows another one, and cannot be written to.

use std::{
    net::TcpListener,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use lockgate::{
    postgres::{Host, Pin, Secret, Target},
    testing::Database,
    throwaway::{Pace, Server},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User, chown},
};
use tempfile::TempDir;

use crate::{Session, eventually, programs};

/// A standby of a primary of its own, with a database; both end with the value.
pub struct Standby {
    primary: Database,
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Standby {
    /// Starts both, from this machine's programs.
    pub async fn start() -> Self {
        let programs = programs::folder();
        let primary = Arc::new(Server::embedded(Some(&programs), Pace::Hasty).await.unwrap());
        let primary = Database::on(primary, "standby").await.unwrap();
        let superuser = primary.server().as_superuser("postgres");
        let Host { name: host, port: source, .. } = superuser.host();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        // Neither program runs as root.
        let account = Uid::effective().is_root().then(|| {
            let account = User::from_name("postgres").unwrap().expect("an account `postgres`");
            chown(folder.path(), Some(account.uid), Some(account.gid)).unwrap();
            account
        });
        let program = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(folder.path());
            if let Some(account) = &account {
                command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
            }
            command
        };
        let password = superuser.given_password().map(Secret::reveal).unwrap_or_default().to_owned();
        let mut copy = program("pg_basebackup");
        copy.args([
            "--checkpoint=fast",
            "--no-sync",
            "--write-recovery-conf",
            "--host",
            &host,
            "--username",
            &superuser.user,
        ]);
        copy.args(["--port", &source.to_string()]).arg("--pgdata").arg(&data).env("PGPASSWORD", &password);
        assert!(copy.status().unwrap().success(), "pg_basebackup makes the standby");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut serve = program("postgres");
        serve.arg("-D").arg(&data).args([
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
        ]);
        // No fewer connections than the primary takes, or it would not follow.
        serve.args(["-c", "unix_socket_directories=", "-c", "max_connections=200"]);
        // What pg_basebackup has written names every option that it knows; the server may have been given an older libpq, which does not.
        serve.args(["-c", &format!("primary_conninfo=host={host} port={source} user={}", superuser.user)]);
        let process = serve.env("PGPASSWORD", password).spawn().unwrap();
        let standby = Self { primary, process, port, _folder: folder };
        eventually("the standby answers", async || {
            lockgate::testing::Connection::open(&standby.target()).await.is_ok()
        })
        .await;
        standby
    }

    /// How the owner of the database reaches the standby.
    pub fn target(&self) -> Target {
        let primary = self.primary.target();
        let host = Host { port: self.port, ..primary.host() };
        Target { hosts: vec![host], pin: Pin::default(), ..primary }
    }

    /// The ports of the primary and of the standby.
    pub fn ports(&self) -> (u16, u16) {
        (self.primary.target().host().port, self.port)
    }

    /// A connection to the primary, as the owner of the database.
    pub async fn primary(&self) -> Session {
        Session(self.primary.connect().await.unwrap())
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // SIGQUIT ends the server with all its processes, at once.
        let _ = kill(Pid::from_raw(self.process.id().try_into().unwrap()), Signal::SIGQUIT);
        let _ = self.process.wait();
    }
}
