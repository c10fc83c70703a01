//! The server in a container that testcontainers starts.

use std::{env, process::Command, time::Duration};

use testcontainers::{
    GenericImage, ImageExt,
    core::{IntoContainerPort, client::docker_client_instance},
    runners::AsyncRunner,
};
use uuid::Uuid;

use super::{Pace, SUPERUSER, Server, start::reaper};
use crate::error::{Error, Result};

/// A daemon of this machine answers in milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// What tells the container of one start from all others.
const LABEL: &str = "lockgate-start";

/// Removes this start's container. The first `docker` on PATH may be too new for the daemon, the system's own fits it. What the daemon
/// was asked for just before the end may come after it, so it is looked for a while longer.
const REMOVE: &str = "cat >/dev/null
looks=0
while [ $looks -lt 20 ]; do
    for docker in docker /usr/bin/docker; do
        containers=$($docker ps --all --quiet --filter label=$1) || continue
        [ -z \"$containers\" ] || $docker rm --force --volumes $containers
        break
    done
    looks=$((looks + 1))
    sleep 0.5
done";

pub(super) async fn docker_answers() -> bool {
    let ping = async {
        match docker_client_instance().await {
            Ok(docker) => docker.ping().await.is_ok(),
            Err(_) => false,
        }
    };
    tokio::time::timeout(ANSWER_MAX, ping).await.unwrap_or(false)
}

pub(super) async fn start(password: String, pace: Pace, image: &str) -> Result<Server> {
    let image = env::var("LOCKGATE_TEST_IMAGE").unwrap_or_else(|_| image.to_owned());
    let (name, tag) = image.rsplit_once(':').ok_or_else(|| {
        Error::configuration(format!("LOCKGATE_TEST_IMAGE is `{image}`, which has no tag"), "write it as `postgres:17`")
    })?;
    // No number of a process: two machines, or two containers, that share a daemon have the same ones.
    let start = Uuid::now_v7().to_string();
    let system = |e: &dyn std::fmt::Display| Error::system(format!("starting a container of `{image}`"), e);

    // The reaper comes first: a start that fails half-way must leave nothing behind.
    let life_line = reaper(Command::new("sh").args(["-c", REMOVE, "reaper", &format!("{LABEL}={start}")]))?;
    let container = GenericImage::new(name, tag)
        .with_exposed_port(5432.tcp())
        .with_env_var("POSTGRES_USER", SUPERUSER)
        .with_env_var("POSTGRES_PASSWORD", &password)
        .with_label("lockgate-test", "1")
        .with_label(LABEL, start)
        .with_cmd(["postgres", "-c", "max_connections=200"].iter().chain(pace.settings()).copied())
        .start()
        .await
        .map_err(|e| system(&e))?;
    let host = container.get_host().await.map_err(|e| system(&e))?.to_string();
    let port = container.get_host_port_ipv4(5432).await.map_err(|e| system(&e))?;
    // Dropping it would remove the container now; the reaper does that at the end.
    std::mem::forget(container);
    Ok(Server { host, port, password, in_container: true, _life_line: life_line })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_container_that_comes_after_the_end_is_removed_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let docker = folder.path().join("docker");
        let script = "#!/bin/sh
echo \"$*\" >>calls
case $1 in
ps) [ $(grep -c ^ps calls) -ne 3 ] || echo late ;;
esac
";
        fs::write(&docker, script).unwrap();
        fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", folder.path().display(), env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-c", REMOVE, "reaper", "label=of-the-start"]).env("PATH", path).current_dir(folder.path());
        drop(reaper(&mut command).unwrap());
        let calls = || fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
        let begin = std::time::Instant::now();
        while !calls().contains("rm --force --volumes late") {
            assert!(begin.elapsed() < Duration::from_secs(30), "it is still there: {}", calls());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(calls().contains("ps --all --quiet --filter label=label=of-the-start"), "{}", calls());
    }
}
