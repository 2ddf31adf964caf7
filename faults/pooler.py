"""A PgBouncer in transaction mode before a PostgreSQL server, on a port of its own."""

import os
import pwd
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from faults.waiting import wait_for

# So few that transactions of web and workers take turns in each of them.
SERVER_CONNECTIONS = 4


class PgBouncer:
    """`server_url` is PostgreSQL's; `prefix` is what the command runs under, such as another namespace's."""

    def __init__(
        self,
        folder: Path,
        server_url: str,
        *,
        port: int,
        address: str = "127.0.0.1",
        server_connections: int = SERVER_CONNECTIONS,
        prefix: Sequence[str] = (),
    ) -> None:
        self._server = conninfo_to_dict(server_url.replace("postgresql+psycopg://", "postgresql://"))
        self._file = folder / f"pgbouncer-{port}.ini"
        self._file.write_text(self._configuration(address, port, server_connections))
        self._file.chmod(0o644)
        self._command = [*prefix, "pgbouncer", "--quiet", *self._user(), str(self._file)]
        self._process: subprocess.Popen[bytes] | None = None
        database = quote(str(self._server.get("dbname") or "postgres"))
        self.url = f"postgresql://anybody@{address}:{port}/{database}"

    @contextmanager
    def running(self) -> Iterator["PgBouncer"]:
        """Run it for the block, and wait until it answers."""
        self._process = subprocess.Popen(self._command)
        try:
            wait_for(self.is_up, 10, "PgBouncer")
            yield self
        finally:
            self._process.kill()
            self._process.wait(10)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def is_up(self) -> bool:
        with suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=2, prepare_threshold=None):
            return True
        return False

    def _configuration(self, address: str, port: int, server_connections: int) -> str:
        names = ("host", "port", "user", "password")
        server = " ".join(f"{name}={self._server[name]}" for name in names if self._server.get(name))
        return (
            f"[databases]\n* = {server}\n[pgbouncer]\nlisten_addr = {address}\nlisten_port = {port}\n"
            f"pool_mode = transaction\ndefault_pool_size = {server_connections}\nmax_client_conn = 500\n"
            "auth_type = any\nunix_socket_dir =\nlog_connections = 0\nlog_disconnections = 0\n"
        )

    def _user(self) -> list[str]:
        """Return the option that names its user: it refuses root, and must reach the server's socket."""
        if os.getuid() != 0:
            return []
        folder = Path(str(self._server.get("host") or ""))
        owner = folder.stat().st_uid if folder.is_absolute() else 0
        return ["--user", pwd.getpwuid(owner).pw_name if owner else "nobody"]
