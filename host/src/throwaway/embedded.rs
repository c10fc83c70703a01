//! The server from the PostgreSQL programs of this machine, in a temporary folder.

use std::{
    fs::{self, Permissions},
    io::Write,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::User;

use super::{Pace, SUPERUSER, Server, start::reaper};
use crate::{
    error::{Error, Result},
    programs::bin_folders,
};

/// Makes and runs the server, ends it with this process, and removes its folder. A server that was killed comes back, as it would
/// under a supervisor: as soon as the processes of the former are gone.
///
/// The first line of its standard input is the password, which is in no file; the end of it is the end of this process. That may come at any
/// moment of the start. So whoever makes and serves is told until it is gone: a word that comes between two of its steps is said again.
const SERVE: &str = "folder=$1 superuser=$2
shift 2
cd \"$folder\" && exec >>log 2>&1 || exit
IFS= read -r password || { rm -rf \"$folder\"; exit; }
child= ending=
finish() {
    while :; do
        wait $child
        status=$?
        kill -0 $child || break
    done
    child=
    return $status
}
serve() {
    tries=0
    port=$1
    shift
    while [ -z \"$ending\" ]; do
        postgres -D data -p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 \"$@\" &
        child=$!
        finish
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
    trap 'ending=yes; [ -z \"$child\" ] || kill -INT $child' TERM
    printf '%s\\n' \"$password\" |
        initdb --pgdata=data --username=$superuser --pwfile=/dev/stdin --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync &
    child=$!
    password=
    finish && serve \"$@\" || touch failed
) </dev/null &
server=$!
password=
cat >/dev/null
while kill -TERM $server; do
    sleep 0.1
done 2>/dev/null
wait
cd /
rm -rf \"$folder\"";

/// Starts it, and returns its folder as well, for [`failure`].
pub(super) fn start(pg_bin: Option<&Path>, password: String, pace: Pace) -> Result<(Server, PathBuf)> {
    let system = |e: std::io::Error| Error::system("making a throwaway server", e);
    let programs = programs(pg_bin)?;
    // Nobody else may look into it: there may be a copy of production in it.
    let private = Permissions::from_mode(0o700);
    let folder =
        tempfile::Builder::new().prefix("lockgate-throwaway-").permissions(private).tempdir().map_err(system)?;
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(system)?.port();

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
        chown(folder.path(), Some(uid), Some(gid)).map_err(system)?;
        command.uid(uid).gid(gid);
    }
    let mut life_line = reaper(&mut command)?;
    life_line.write_all(format!("{password}\n").as_bytes()).map_err(system)?;
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
