"""PgBouncer before PostgreSQL, and a host that can be cut off."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from faults.fork_client import free_ports
from faults.network import Namespace
from faults.pooler import PgBouncer
from tests.conftest import unavailable


class StartPooler(Protocol):
    def __call__(self, server_url: str, *, server_connections: int = 4) -> PgBouncer: ...


@pytest.fixture
def start_pooler(scratch: Path) -> Iterator[StartPooler]:
    """Starts a PgBouncer in transaction mode; it ends with the test."""
    if shutil.which("pgbouncer") is None:
        unavailable("PgBouncer", "apt install pgbouncer")
    with ExitStack() as running:

        def start(server_url: str, *, server_connections: int = 4) -> PgBouncer:
            [port] = free_ports(1)
            pooler = PgBouncer(scratch, server_url, port=port, server_connections=server_connections)
            return running.enter_context(pooler.running())

        yield start


@pytest.fixture
def remote_host() -> Iterator[Namespace]:
    """Another host, whose cable can be cut."""
    if sys.platform != "linux" or os.getuid() != 0 or shutil.which("ip") is None:
        unavailable("A network namespace", "run as root on Linux, with iproute2.")
    with ExitStack() as existing:
        try:
            namespace = existing.enter_context(Namespace().existing())
        except subprocess.CalledProcessError as error:
            unavailable("A network namespace", f"allow it to be made: {error.stderr!r}")
        yield namespace


@pytest.fixture
def remote_pooler(remote_host: Namespace, scratch: Path) -> Iterator[Callable[[str], PgBouncer]]:
    """Starts a PgBouncer on that host: to whoever connects to it, the database's host."""
    if shutil.which("pgbouncer") is None:
        unavailable("PgBouncer", "apt install pgbouncer")
    with ExitStack() as running:

        def start(server_url: str) -> PgBouncer:
            pooler = PgBouncer(
                scratch, server_url, port=6432, address=remote_host.inside, prefix=remote_host.prefix
            )
            return running.enter_context(pooler.running())

        yield start
