//! A server with TLS, whose certificate and `pg_hba.conf` a test chooses, and the way to it.

use std::{
    fs::{self, Permissions},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User},
};
use tempfile::TempDir;

use crate::{Call, authority, eventually, programs};

const PASSWORD: &str = "hush-hush";

/// The server and the folder of its certificates; both end with the value.
pub struct SecureServer {
    /// What the server may read.
    data: TempDir,
    /// What its clients read, and where they run.
    folder: TempDir,
    port: u16,
    account: Option<User>,
    process: Option<Child>,
}

impl SecureServer {
    /// Makes it, with all certificates of `authority::write`; it does not serve yet.
    pub fn make() -> Self {
        let private = || tempfile::Builder::new().prefix("lockgate-secure-").tempdir().unwrap();
        let (data, folder) = (private(), private());
        // PostgreSQL refuses to run as root.
        let account =
            Uid::effective().is_root().then(|| User::from_name("postgres").unwrap().expect("an account `postgres`"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { data, folder, port, account, process: None };
        authority::write(server.folder.path());
        fs::write(server.data.path().join("password"), PASSWORD).unwrap();
        for entry in fs::read_dir(server.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, server.data.path().join(path.file_name().unwrap())).unwrap();
        }
        server.hand_over(server.data.path());
        for entry in fs::read_dir(server.data.path()).unwrap() {
            server.hand_over(&entry.unwrap().path());
        }
        let status = server
            .program("initdb")
            .args(["--pgdata=data", "--username=postgres", "--pwfile=password", "--auth=scram-sha-256", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C"])
            .status();
        assert!(status.unwrap().success(), "initdb makes the server");
        server
    }

    fn hand_over(&self, path: &Path) {
        if let Some(account) = &self.account {
            chown(path, Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
        }
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(programs::folder().join(name));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(self.data.path());
        if let Some(account) = &self.account {
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        command
    }

    /// Serves, with the certificate of this name, or without TLS, and with these lines as `pg_hba.conf`. It trusts the clients of the
    /// authority `ca`, unless they are revoked.
    pub async fn serve(&mut self, certificate: Option<&str>, hba: &str) {
        self.stop();
        let path = self.data.path().join("data/pg_hba.conf");
        fs::write(&path, format!("{hba}\n")).unwrap();
        self.hand_over(&path);
        let mut command = self.program("postgres");
        let sockets = format!("unix_socket_directories={}", self.data.path().display());
        let port = format!("port={}", self.port);
        command.args([
            "-D",
            "data",
            "-c",
            &port,
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            &sockets,
            "-c",
            "fsync=off",
        ]);
        if let Some(name) = certificate {
            let file = |name: &str| self.data.path().join(name).display().to_string();
            for setting in [
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", file(&format!("{name}.crt"))),
                format!("ssl_key_file={}", file(&format!("{name}.key"))),
                format!("ssl_ca_file={}", file("ca.crt")),
                format!("ssl_crl_file={}", file("ca.crl")),
            ] {
                command.arg("-c").arg(setting);
            }
        }
        self.process = Some(command.spawn().unwrap());
        let ready = self.data.path().join(format!(".s.PGSQL.{}", self.port));
        eventually("the server with TLS answers", async || {
            ready.exists() && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        })
        .await;
        let url = format!("host='{}' port={} user=postgres dbname=postgres", self.data.path().display(), self.port);
        // What answers may still be starting.
        eventually("the server with TLS has started", async || {
            let status = self.program("pg_isready").args(["-d", &url]).status();
            status.unwrap().success()
        })
        .await;
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // SIGQUIT ends the server with all its processes, at once.
            let _ = kill(Pid::from_raw(process.id().try_into().unwrap()), Signal::SIGQUIT);
            let _ = process.wait();
        }
    }

    /// A file of a client's.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of a client's, for nobody else to read.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        self.data.path()
    }

    /// The password, which must never be seen.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// `lockgate` with libpq's variables, by TCP, as the superuser.
    pub fn lockgate(&self, arguments: &str) -> Call {
        self.reaching(Call::new(self.folder.path(), arguments))
            .env("LOCKGATE_PG_BIN", programs::folder())
            .env("LOCKGATE_NO_CACHE", "true")
    }

    /// `psql` in the same way.
    pub fn psql(&self, arguments: &str) -> Call {
        self.reaching(Call::of_program(&programs::folder().join("psql"), self.folder.path(), arguments))
    }

    fn reaching(&self, call: Call) -> Call {
        call.env("PGHOST", "localhost")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", "postgres")
            .env("PGPASSWORD", PASSWORD)
    }
}

impl Drop for SecureServer {
    fn drop(&mut self) {
        self.stop();
    }
}
