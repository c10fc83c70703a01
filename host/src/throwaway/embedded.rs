//! The server from the PostgreSQL programs of this machine, in a temporary folder.

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::User;

use super::{Pace, SUPERUSER, Server, reaper};
use crate::{
    error::{Error, Result},
    programs::bin_folders,
};

/// Makes and runs the server, ends it with this process, and removes its folder. A server that was killed comes back, as it would
/// under a supervisor: as soon as the processes of the former are gone.
const SERVE: &str = "folder=$1 superuser=$2
cd $folder || exit
shift 2
serve() {
    tries=0
    port=$1
    shift
    while :; do
        postgres -D data -p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 \\
            \"$@\" >>log 2>&1
        case $? in
        137) tries=50 ;;
        0) return 0 ;;
        esac
        [ $tries -gt 0 ] || return 1
        tries=$((tries - 1))
        sleep 0.1
    done
}
(
    initdb --pgdata=data --username=$superuser --pwfile=password --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync >log 2>&1 &&
    serve \"$@\"
) </dev/null || touch failed &
cat >/dev/null
kill -INT $(head -n 1 $folder/data/postmaster.pid)
wait
rm -rf $folder";

/// Starts it, and returns its folder as well, for [`failure`].
pub(super) fn start(pg_bin: Option<&Path>, password: String, pace: Pace) -> Result<(Server, PathBuf)> {
    let system = |e: std::io::Error| Error::system("making a throwaway server", e);
    let programs = programs(pg_bin)?;
    let folder = tempfile::Builder::new().prefix("lockgate-throwaway-").tempdir().map_err(system)?;
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(system)?.port();
    fs::write(folder.path().join("password"), &password).map_err(system)?;

    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command
        .args(["-c", SERVE, "reaper"])
        .arg(folder.path())
        .args([SUPERUSER, &port.to_string()])
        .args(pace.settings())
        .env("PATH", path)
        .env("LC_ALL", "C");
    if folder.path().metadata().map_err(system)?.uid() == 0 {
        // PostgreSQL refuses to run as root.
        let account = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let account = account.ok_or_else(|| {
            Error::configuration(
                "PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody`",
                "make one of them",
            )
        })?;
        let (uid, gid) = (account.uid.as_raw(), account.gid.as_raw());
        for path in [folder.path().to_owned(), folder.path().join("password")] {
            chown(path, Some(uid), Some(gid)).map_err(system)?;
        }
        command.uid(uid).gid(gid);
    }
    let life_line = reaper(&mut command)?;
    // The reaper removes it.
    let folder = folder.keep();
    Ok((Server { host: "127.0.0.1".into(), port, password, in_container: false, _life_line: life_line }, folder))
}

/// Why the server in this folder has ended, if it has.
pub(super) fn failure(folder: &Path) -> Option<String> {
    folder.join("failed").exists().then(|| fs::read_to_string(folder.join("log")).unwrap_or_default())
}

fn programs(pg_bin: Option<&Path>) -> Result<PathBuf> {
    let complete = |folder: &PathBuf| ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file());
    bin_folders(pg_bin).into_iter().find(complete).ok_or_else(|| {
        Error::configuration(
            "PostgreSQL's server programs (initdb, postgres) were not found",
            "install them (Debian: `apt-get install postgresql`), or name their folder in LOCKGATE_PG_BIN",
        )
    })
}
