//! The server in a container that testcontainers starts.

use std::{env, process::Command, time::Duration};

use testcontainers::{
    GenericImage, ImageExt,
    core::{IntoContainerPort, client::docker_client_instance},
    runners::AsyncRunner,
};

use super::{Pace, SUPERUSER, Server, reaper};
use crate::error::{Error, Result};

/// A daemon of this machine answers in milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Removes this process's containers. The first `docker` on PATH may be too new for the daemon, the system's own fits it.
const REMOVE: &str = "cat >/dev/null
for docker in docker /usr/bin/docker; do
    containers=$($docker ps --all --quiet --filter label=$1) || continue
    [ -z \"$containers\" ] || exec $docker rm --force --volumes $containers
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
    let process = std::process::id().to_string();
    let system = |e: &dyn std::fmt::Display| Error::system(format!("starting a container of `{image}`"), e);

    // The reaper comes first: a start that fails half-way must leave nothing behind.
    let life_line =
        reaper(Command::new("sh").args(["-c", REMOVE, "reaper", &format!("lockgate-test-process={process}")]))?;
    let container = GenericImage::new(name, tag)
        .with_exposed_port(5432.tcp())
        .with_env_var("POSTGRES_USER", SUPERUSER)
        .with_env_var("POSTGRES_PASSWORD", &password)
        .with_label("lockgate-test", "1")
        .with_label("lockgate-test-process", process)
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
