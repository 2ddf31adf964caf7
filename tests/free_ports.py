"""Ports of loopback for servers that a test starts: none is given twice while tests run side by side."""

import fcntl
import os
import random
import socket
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from webhooks_app.transport.target_ports import DENIED_PORTS

# Below those that systems give to whoever asks for any, and so are those 10,000 above.
FIRST, LAST = 10_000, 20_000
_ours: set[int] = set()


def free_port() -> int:
    """Return a free port; nobody else is given it before this process ends.

    The one above it is free as well, for the demo consumer of `avra run`, and so is the one 10,000 above it,
    for the bus of a Redis cluster.
    """
    while True:
        port = random.SystemRandom().randrange(FIRST, LAST, 2)
        if reserve(port) and is_free(port):
            return port


def is_free(port: int) -> bool:
    """Return whether nobody has bound it, nor those that go with it, and whether deliveries may go there."""
    if not DENIED_PORTS.isdisjoint((port, port + 1)):
        return False
    return all(_can_be_bound(each) for each in (port, port + 1, port + 10_000))


def reserve(port: int) -> bool:
    """Return whether the port is this process's from now on: before it is bound, others choose, too."""
    if port in _ours:
        return False
    with suppress(BlockingIOError):
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        _ours.add(port)
        return True
    return False


@cache
def _locks() -> BinaryIO:
    """Return the file of which a locked byte stands for a port; a process loses its locks when it ends."""
    return (Path(tempfile.gettempdir()) / f"avra-{os.getuid()}-ports.lock").open("wb")


def _can_be_bound(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False
