//! The server itself. It listens on the loopback address only, behind a password of its own, and runs while a command uses it; the data
//! stays. Commands that use it at the same time share it: the last one stops it.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpListener,
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User},
};

use super::FOLDER;
use crate::{
    error::{Error, Result},
    files,
    migration::{Checksum, hex},
    postgres::{Secret, Session, Target, quote_ident, quote_literal},
    programs::{bin_folders, major_version, without_secrets},
};

/// The role that owns the database: not a superuser, as it should be in production.
const ROLE: &str = "lockgate";
const SUPERUSER: &str = "postgres";

/// The project's server, in use by this process.
pub struct Embedded {
    /// How to reach it.
    pub target: Target,
    home: PathBuf,
    bin: PathBuf,
    account: Option<User>,
    gate: PathBuf,
    users: File,
}

impl Embedded {
    /// Starts the server, unless another process has; the first time makes it.
    ///
    /// # Errors
    /// When the programs are missing or do not work.
    pub async fn start(project: &Path, database: &str, pg_bin: Option<&Path>) -> Result<Self> {
        let folder = project.join(FOLDER);
        let system = |doing: &'static str| move |e: std::io::Error| Error::system(doing, e);
        files::make_uncommitted(&folder).map_err(system("making the folder .lockgate"))?;
        let account = unprivileged_account()?;

        // One process at a time makes, starts and stops; the folder, too, is made by one.
        let gate_path = folder.join("postgres.gate");
        let gate = lock_file(&gate_path)?;
        gate.lock().map_err(system("waiting for another start of the embedded server"))?;
        let users = lock_file(&folder.join("postgres.users"))?;
        users.lock_shared().map_err(system("joining the users of the embedded server"))?;

        let home = home(&folder, account.as_ref())?;
        let data = home.join("data");
        let bin = find_programs(pg_bin, &data)?;
        let mut server = Self { target: target(&home, 0, database, ROLE)?, home, bin, account, gate: gate_path, users };
        if !data.join("PG_VERSION").exists() {
            server.init()?;
        }
        let port = match server.running_port() {
            Some(port) => port,
            None => server.launch()?,
        };
        server.target = target(&server.home, port, database, ROLE)?;
        if let Err(error) = server.create_database().await {
            drop(gate);
            server.stop()?;
            return Err(error);
        }
        Ok(server)
    }

    /// Stops the server, unless another process still uses it.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(self) -> Result<()> {
        let gate = lock_file(&self.gate)?;
        gate.lock().map_err(|e| Error::system("stopping the embedded server", e))?;
        let _ = self.users.unlock();
        if self.users.try_lock().is_err() {
            return Ok(());
        }
        self.pg_ctl(&["-m", "fast", "-w", "stop"], "stopping the embedded server")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        without_secrets(&mut command)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .env_remove("PGDATA")
            .env("LC_ALL", "C");
        if let Some(account) = &self.account {
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw()).env("HOME", &self.home);
        }
        command
    }

    fn init(&self) -> Result<()> {
        const DOING: &str = "making the embedded server (initdb)";
        let partial = self.home.join("data.partial");
        let _ = fs::remove_dir_all(&partial);
        let output = self
            .command("initdb")
            .arg("--pgdata")
            .arg(&partial)
            .args([
                "--username",
                SUPERUSER,
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            ])
            .arg("--pwfile")
            .arg(password_file(&self.home))
            .output()
            .map_err(|e| Error::system(DOING, e))?;
        if !output.status.success() {
            return Err(Error::system(DOING, String::from_utf8_lossy(&output.stderr).trim()));
        }
        fs::rename(&partial, self.home.join("data")).map_err(|e| Error::system(DOING, e))
    }

    /// The fourth line of `postmaster.pid` is the port; the file may be left over from a crash.
    fn running_port(&self) -> Option<u16> {
        self.pg_ctl(&["status"], "asking for the embedded server").ok()?;
        fs::read_to_string(self.home.join("data/postmaster.pid")).ok()?.lines().nth(3)?.trim().parse().ok()
    }

    fn launch(&self) -> Result<u16> {
        // The port is free now; should another program take it in between, the next start chooses another.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|e| Error::system("finding a free port", e))?
            .port();
        let log = self.home.join("server.log");
        let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''");
        let log_name = log.display().to_string();
        self.pg_ctl(&["-w", "-t", "60", "-l", &log_name, "-o", &options, "start"], "starting the embedded server")
            .map_err(|error| {
                let text = fs::read_to_string(&log).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(5).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                Error::system("starting the embedded server", format!("{error}\n{}", tail.join("\n")))
            })?;
        Ok(port)
    }

    /// Its output goes nowhere: the server inherits it, and whoever reads a pipe would wait for the server's end.
    fn pg_ctl(&self, arguments: &[&str], doing: &str) -> Result<()> {
        let mut command = self.command("pg_ctl");
        command.arg("-D").arg(self.home.join("data")).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().map_err(|e| Error::system(doing, e))?;
        if status.success() { Ok(()) } else { Err(Error::system(doing, format!("pg_ctl ended with {status}"))) }
    }

    async fn create_database(&self) -> Result<()> {
        let ready = self.home.join(format!("ready-{}", Checksum::of_bytes(self.target.database.as_bytes()).short()));
        if ready.exists() {
            return Ok(());
        }
        let admin =
            Session::connect(&target(&self.home, self.target.host().port, "postgres", SUPERUSER)?, "lockgate embedded")
                .await?;
        let (role, database) = (quote_ident(ROLE), quote_ident(&self.target.database));
        let password = self.target.given_password().map_or("", Secret::reveal);
        let role_sql = format!(
            "DO $do$ BEGIN IF to_regrole('{ROLE}') IS NULL THEN
                 CREATE ROLE {role} LOGIN CREATEDB NOSUPERUSER PASSWORD {}; END IF; END $do$",
            quote_literal(password)
        );
        admin.batch("making the role of the embedded server", &role_sql).await?;
        let exists =
            format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {}", quote_literal(&self.target.database));
        let exists =
            admin.handle().query(&exists, &[]).await.map_err(|e| Error::database("looking for the database", e))?;
        if exists.rows.is_empty() {
            admin.batch("making the database", &format!("CREATE DATABASE {database} OWNER {role}")).await?;
        }
        File::create(ready).map(drop).map_err(|e| Error::system("noting that the database is there", e))
    }
}

/// PostgreSQL refuses to run as root, so root lends it another account.
fn unprivileged_account() -> Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let account = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
    account.map(Some).ok_or_else(|| {
        Error::configuration(
            "PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody`",
            "make one of them",
        )
    })
}

/// The server's folder: in `.lockgate`, or linked from there where the server's account could not reach it.
fn home(folder: &Path, account: Option<&User>) -> Result<PathBuf> {
    const DOING: &str = "making the embedded server's folder";
    let system = |e: std::io::Error| Error::system(DOING, e);
    let link = folder.join("postgres");
    let folder = folder.canonicalize().map_err(system)?;
    let Some(account) = account else {
        fs::create_dir_all(&link).map_err(system)?;
        return prepare_home(link.canonicalize().map_err(system)?, None);
    };
    let reachable = |path: &Path| {
        let mut command = Command::new("test");
        command.arg("-x").arg(path).current_dir("/").uid(account.uid.as_raw()).gid(account.gid.as_raw());
        command.status().is_ok_and(|status| status.success())
    };
    let home = if reachable(&folder) && !link.is_symlink() {
        link
    } else {
        let home =
            Path::new("/var/lib/lockgate").join(Checksum::of_bytes(folder.as_os_str().as_encoded_bytes()).short());
        if !link.is_symlink() {
            remove_stale(&home).map_err(system)?;
            symlink(&home, &link).map_err(system)?;
        }
        fs::read_link(&link).map_err(system)?
    };
    fs::create_dir_all(&home).map_err(system)?;
    prepare_home(home.canonicalize().map_err(system)?, Some(account))
}

/// A home without the link to it belonged to a project that was removed, whose data must not appear in a new one at the same path.
fn remove_stale(home: &Path) -> std::io::Result<()> {
    let data = home.join("data");
    let pid =
        fs::read_to_string(data.join("postmaster.pid")).ok().and_then(|file| file.lines().next()?.trim().parse().ok());
    if let Some(pid) = pid
        && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data)
    {
        // SIGQUIT ends the server and its processes at once.
        kill(Pid::from_raw(pid), Signal::SIGQUIT)?;
        let end = Instant::now() + Duration::from_secs(10);
        while Path::new(&format!("/proc/{pid}/cwd")).exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    match fs::remove_dir_all(home) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn prepare_home(home: PathBuf, account: Option<&User>) -> Result<PathBuf> {
    let own = |path: &Path| match account {
        Some(account) => chown(path, Some(account.uid.as_raw()), Some(account.gid.as_raw())),
        None => Ok(()),
    };
    let prepare = || {
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700))?;
        own(&home)?;
        let password = password_file(&home);
        if !password.exists() {
            let mut random = [0; 16];
            File::open("/dev/urandom")?.read_exact(&mut random)?;
            File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&password)?
                .write_all(hex(&random).as_bytes())?;
            own(&password)?;
        }
        Ok(())
    };
    prepare().map_err(|e: std::io::Error| Error::system("making the embedded server's folder", e))?;
    Ok(home)
}

fn password_file(home: &Path) -> PathBuf {
    home.join("password")
}

fn target(home: &Path, port: u16, database: &str, user: &str) -> Result<Target> {
    let password = fs::read_to_string(password_file(home))
        .map_err(|e| Error::system("reading the embedded server's password", e))?;
    Ok(Target::of_ours("127.0.0.1", port, database, user, Secret::new(password)))
}

/// The newest programs; for data that is there already, those of its own version.
fn find_programs(configured: Option<&Path>, data: &Path) -> Result<PathBuf> {
    let wanted: Option<u32> = fs::read_to_string(data.join("PG_VERSION")).ok().and_then(|v| v.trim().parse().ok());
    let mut found = None;
    for folder in bin_folders(configured) {
        if !["initdb", "pg_ctl", "postgres"].iter().all(|program| folder.join(program).is_file()) {
            continue;
        }
        let version = major_version(&folder.join("postgres"));
        if version.is_some() && (wanted.is_none() || version == wanted) {
            return Ok(folder);
        }
        found = found.or(version);
    }
    Err(match (wanted, found) {
        (Some(wanted), Some(found)) => Error::configuration(
            format!(
                "the data of the embedded server is PostgreSQL {wanted}'s; the programs found are of version {found}"
            ),
            format!("install PostgreSQL {wanted}, or remove `{}` to begin anew", data.display()),
        ),
        _ => Error::configuration(
            "PostgreSQL's server programs (initdb, pg_ctl, postgres) were not found",
            "install them (Debian: `apt-get install postgresql`), or name their folder in LOCKGATE_PG_BIN",
        ),
    })
}

fn lock_file(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path);
    file.map_err(|e| Error::system(format!("opening `{}`", path.display()), e))
}
