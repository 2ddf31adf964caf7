"""Has a PostgreSQL server end a statement whose answer nobody waits for any more."""

import select
import threading
import time
from contextlib import suppress

import psycopg
from psycopg.pq import PollingStatus
from psycopg.pq.abc import PGcancelConn, PGconn

_CANCEL_SECONDS = 5.0
# What libpq waits for, to read or to write.
_POLLS: dict[int, tuple[int, int]] = {PollingStatus.READING: (1, 0), PollingStatus.WRITING: (0, 1)}


def request(connection: PGconn) -> None:
    """Ask the server, in the background, to cancel the connection's running statement."""
    with suppress(psycopg.NotSupportedError):  # libpq before 17
        cancellation = connection.cancel_conn()
        threading.Thread(target=_cancel, args=(cancellation,), daemon=True).start()


def _cancel(cancellation: PGcancelConn) -> None:
    """Ask the server, for some seconds at most; not by libpq's blocking call, as that stops all threads."""
    deadline = time.monotonic() + _CANCEL_SECONDS
    with suppress(psycopg.Error):
        cancellation.start()
        status = cancellation.poll()
        while status in _POLLS and time.monotonic() < deadline:
            reads, writes = _POLLS[status]
            fileno = cancellation.socket
            select.select([fileno] * reads, [fileno] * writes, [], _CANCEL_SECONDS)
            status = cancellation.poll()
    cancellation.finish()
