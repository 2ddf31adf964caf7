"""A PgBouncer in transaction mode before a PostgreSQL server, on a port of its own."""

import os
import pwd
import signal
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
        self._address, self._port, self._server_connections = address, port, server_connections
        self._file = folder / f"pgbouncer-{port}.ini"
        self._write(server_url)
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

    def lead_to(self, server_url: str) -> None:
        """Have it connect to another server from now on; connections to the old one end when they can."""
        self._write(server_url)
        self.signal(signal.SIGHUP)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def is_up(self) -> bool:
        with suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=2, prepare_threshold=None):
            return True
        return False

    def _write(self, server_url: str) -> None:
        self._server = conninfo_to_dict(server_url.replace("postgresql+psycopg://", "postgresql://"))
        self._file.write_text(self._configuration())
        self._file.chmod(0o644)

    def _configuration(self) -> str:
        names = ("host", "port", "user", "password")
        server = " ".join(f"{name}={self._server[name]}" for name in names if self._server.get(name))
        return (
            f"[databases]\n* = {server}\n[pgbouncer]\n"
            f"listen_addr = {self._address}\nlisten_port = {self._port}\npool_mode = transaction\n"
            f"default_pool_size = {self._server_connections}\nmax_client_conn = 500\nauth_type = any\n"
            "unix_socket_dir =\nlog_connections = 0\nlog_disconnections = 0\n"
            # A server's host that is gone says nothing.
            "tcp_keepidle = 2\ntcp_keepintvl = 1\ntcp_keepcnt = 3\ntcp_user_timeout = 3000\n"
            "server_connect_timeout = 2\nserver_login_retry = 1\nserver_fast_close = 1\n"
        )

    def _user(self) -> list[str]:
        """Return the option that names its user: it refuses root, and must reach the server's socket."""
        if os.getuid() != 0:
            return []
        folder = Path(str(self._server.get("host") or ""))
        owner = folder.stat().st_uid if folder.is_absolute() else 0
        return ["--user", pwd.getpwuid(owner).pw_name if owner else "nobody"]
