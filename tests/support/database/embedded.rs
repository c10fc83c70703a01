//! The server from the PostgreSQL programs of this machine, in a temporary folder.

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    process::Command,
};

use nix::unistd::User;

use super::{PASSWORD, SUPERUSER, Server, reaper};
use crate::programs;

/// Makes and runs the server, ends it with this process, and removes its folder. Nothing of it outlives the test, so nothing need
/// reach the disk.
const SERVE: &str = "cd $1 &&
initdb --pgdata=data --username=$2 --pwfile=password --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync >log 2>&1 &&
postgres -D data -p $3 -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c full_page_writes=off \\
    -c max_connections=200 >log 2>&1 &
cat >/dev/null
kill -INT $(head -n 1 $1/data/postmaster.pid)
wait
rm -rf $1";

pub(super) fn start() -> Result<Server, String> {
    let folder = tempfile::Builder::new().prefix("lockgate-tests-").tempdir().map_err(|e| e.to_string())?;
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())?.port();
    fs::write(folder.path().join("password"), PASSWORD).map_err(|e| e.to_string())?;

    let path = format!("{}:{}", programs::folder().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command
        .args(["-c", SERVE, "reaper"])
        .arg(folder.path())
        .args([SUPERUSER, &port.to_string()])
        .env("PATH", path)
        .env("LC_ALL", "C");
    if folder.path().metadata().map_err(|e| e.to_string())?.uid() == 0 {
        // PostgreSQL refuses to run as root.
        let account = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let account = account.ok_or("there is no account `postgres` or `nobody` to run the server")?;
        let (uid, gid) = (account.uid.as_raw(), account.gid.as_raw());
        for path in [folder.path().to_owned(), folder.path().join("password")] {
            chown(path, Some(uid), Some(gid)).map_err(|e| e.to_string())?;
        }
        command.uid(uid).gid(gid);
    }
    let life_line = reaper(&mut command)?;
    // The reaper removes it.
    let _ = folder.keep();
    Ok(Server { host: "127.0.0.1".into(), port, in_container: false, _life_line: life_line })
}
