"""A PostgreSQL server of the benchmarks' own."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Server:
    """Runs as long as the `with` block, in a temporary folder that goes with it: `work` is for whatever else the benchmark writes.

    `environment` is for the programs that use it: libpq's variables, the server's programs first in PATH, and none of the caller's own settings
    of databases and of Lockgate.
    """

    def __init__(self, *settings):
        inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
        # Where the caller says that the programs are counts nevertheless.
        asking = inherited | {name: os.environ[name] for name in ["LOCKGATE_PG_BIN"] if name in os.environ}
        self.programs = pathlib.Path(output([ROOT / ".ci/install-postgres"], env=asking))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *settings]
        self.environment = inherited | {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGSSLMODE": "disable",
        }

    def __enter__(self):
        # Whoever ends the benchmark ends the server as well.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="lockgate-bench.", dir="/var/tmp"))
        self.work.chmod(0o755)
        self.data = self.work / "server"
        self.data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.data, "postgres")
        try:
            self.program("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-D", self.data / "data")
            options = " ".join(f"-c {setting}" for setting in self.settings)
            self.program("pg_ctl", "-D", self.data / "data", "-w", "-l", self.data / "log", "-o", options, "start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.program("pg_ctl", "-D", self.data / "data", "-m", "immediate", "stop", check=False)
        finally:
            shutil.rmtree(self.work, ignore_errors=True)

    def program(self, name, *arguments, check=True):
        # The server refuses to run as root.
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        errors = None if check else subprocess.DEVNULL
        subprocess.run(
            [*user, self.programs / name, *arguments], check=check, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )

    def query(self, sql, database="postgres"):
        """What psql prints for it, without headers."""
        command = [self.programs / "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql]
        return output(command, env=self.environment | {"PGOPTIONS": "-c client_min_messages=warning"})

    def url(self, database, scheme="postgres", options="?sslmode=disable"):
        return f"{scheme}://postgres@127.0.0.1:{self.port}/{database}{options}"

    def introduce(self, lockgate):
        """Says on stderr what is measured, and on what."""
        version = output([lockgate, "--version"], env=self.environment)
        load = " ".join(f"{load:.1f}" for load in os.getloadavg())
        say(f"{version}, PostgreSQL {self.query('SHOW server_version')}, {os.cpu_count()} processors, load average {load}")


def is_setting(name):
    return name == "DATABASE_URL" or name.startswith(("PG", "DB_", "LOCKGATE_"))


def output(command, env):
    return subprocess.run(command, env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout.strip()


def say(text):
    print(text, file=sys.stderr, flush=True)
