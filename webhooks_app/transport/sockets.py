"""The sockets that libcurl wants watched, with as little bookkeeping as its requests allow."""

import select
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

# One bit each; libcurl's CURL_POLL_ and CURL_CSELECT_ numbers are the same, which a test holds.
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


# Most answers are read in one or two goes, each of some 0.05 ms. The kernel is asked how much came after so
# many, or after one that took far longer: libcurl then read on and on, maybe for other requests as well.
READS_PER_CHECK = 4
SLOW_READ_SECONDS = 0.002
# The largest head that libcurl takes has 300 KB; what is read of a body, and its wrapping, is far less.
FLOOD_BYTES = 1024 * 1024
# Where the kernel does not say how much came: head and body in pieces of 300 bytes.
FLOOD_READS = 1024
# No work on a descriptor takes so long, unless OpenSSL reads a handshake that never ends.
STUCK_SECONDS = 0.5
# Linux' struct tcp_info up to and with tcpi_bytes_received, an integer of 64 bits (linux/tcp.h).
_TCP_INFO_BYTES = 136


# Answers are small; it also bounds what libcurl reads in one go from a server that never stops sending.
RECEIVE_BUFFER_BYTES = 64 * 1024


ConnectionEnds = tuple[str, int, int]


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class WatchedSockets:
    """A selector that forgets late: the connection of an ended request mostly serves the next one soon."""

    def __init__(self) -> None:
        # epoll or kqueue, which have no limit of 1,024 descriptors, as `select` has.
        self._selector = selectors.DefaultSelector()
        self._events: dict[int, int] = {}
        self._dozing: set[int] = set()
        self._intake: dict[int, _Intake] = {}

    def always(self, source: HasFileno) -> None:
        self._selector.register(source, READ)

    def watch(self, descriptor: int, events: int) -> None:
        known = self._events.get(descriptor)
        if known is None or descriptor in self._dozing:
            self._intake[descriptor] = _Intake(0 if known is None else None)
            self._dozing.discard(descriptor)
        if known is None:
            self._selector.register(descriptor, events)
        elif known != events:
            self._selector.modify(descriptor, events)
        self._events[descriptor] = events

    def unwatch(self, descriptor: int) -> None:
        """Only notes it, as libcurl does not say whether it closes the socket now or keeps it."""
        if descriptor in self._events:
            self._dozing.add(descriptor)

    def forget_unwatched(self) -> None:
        """To be called before a new socket is opened, as it may get the number of one that was closed."""
        while self._dozing:
            self._forget(self._dozing.pop())

    def wait(self, seconds: float) -> Iterator[tuple[int, int]]:
        """Descriptors with what they are ready for."""
        for key, events in self._selector.select(seconds):
            if key.fd in self._dozing:  # closed by its server; would be ready for ever
                self._dozing.discard(key.fd)
                self._forget(key.fd)
            else:
                yield key.fd, events

    def is_flooded(self, descriptor: int, seconds: float) -> bool:
        """Whether one request got more than any answer takes; asked after each read, which took `seconds`."""
        intake = self._intake.get(descriptor)
        return intake is not None and intake.is_flood(descriptor, seconds)

    def renew(self, descriptor: int) -> None:
        """To be called when a request ended while others go on over its connection."""
        if descriptor in self._intake:
            self._intake[descriptor] = _Intake(None)

    def shut_flooded(self) -> None:
        """Ends what floods while libcurl is at it. From any thread."""
        for descriptor, intake in list(self._intake.items()):
            if intake.has_overrun(_bytes_received(descriptor)):
                with suppress(OSError), _borrowed(descriptor) as flooded:
                    flooded.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._selector.close()

    def _forget(self, descriptor: int) -> None:
        del self._events[descriptor]
        del self._intake[descriptor]
        self._selector.unregister(descriptor)


class _Intake:
    """What came in over a connection for one request, wrapping and all: libcurl shows the content only."""

    __slots__ = ("_bytes_before", "_reads")

    def __init__(self, bytes_before: int | None) -> None:
        """`bytes_before` came for earlier requests; None: see then."""
        self._reads, self._bytes_before = 0, bytes_before

    def is_flood(self, descriptor: int, seconds: float) -> bool:
        self._reads += 1
        if self._reads % READS_PER_CHECK and seconds < SLOW_READ_SECONDS:
            return False
        received = _bytes_received(descriptor)
        return self.has_overrun(received) or (received is None and self._reads > FLOOD_READS)

    def has_overrun(self, received: int | None) -> bool:
        """Counts from the first time that it is asked, on a connection that was used before."""
        if self._bytes_before is None or received is None:
            self._bytes_before = received
            return False
        return received - self._bytes_before > FLOOD_BYTES


def _bytes_received(descriptor: int) -> int | None:
    """By this connection, ever; None where the system does not tell."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return None
    with suppress(OSError), _borrowed(descriptor) as borrowed:  # closed by now
        told = borrowed.getsockopt(socket.IPPROTO_TCP, option, _TCP_INFO_BYTES)
        if len(told) == _TCP_INFO_BYTES:
            received: int = struct.unpack_from("=Q", told, _TCP_INFO_BYTES - 8)[0]
            return received or None
    return None


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    try:
        yield borrowed
    finally:
        borrowed.detach()


class Watchdog:
    """Shuts what floods where libcurl does not return: OpenSSL reads an endless handshake in one go."""

    def __init__(self, sockets: WatchedSockets) -> None:
        self._sockets = sockets
        self._began_at = 0.0
        self._is_closed = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def begin(self, now: float) -> None:
        self._began_at = now

    def end(self) -> None:
        self._began_at = 0.0

    def close(self) -> None:
        self._is_closed.set()

    def _watch(self) -> None:
        while not self._is_closed.wait(STUCK_SECONDS / 2):
            if self._began_at and time.monotonic() - self._began_at > STUCK_SECONDS:
                self._sockets.shut_flooded()


class IdleConnections:
    """The connections of HTTP/1 that libcurl keeps, by the server's address, its port and ours.

    What comes in over one while no request runs answers nothing, and libcurl would take it for the answer to
    the next request: it looks only after a connection was idle for a second.
    """

    def __init__(self) -> None:
        self._known: dict[ConnectionEnds, select.poll] = {}
        self._ends: dict[int, ConnectionEnds] = {}

    def keep(self, ends: ConnectionEnds, descriptor: int) -> None:
        self._known.pop(self._ends.get(descriptor, ends), None)
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        self._ends[descriptor], self._known[ends] = ends, poller

    def is_quiet(self, ends: ConnectionEnds) -> bool:
        """Whether nothing has come in, not even the end; also true of connections that were never kept."""
        poller = self._known.get(ends)
        return poller is None or not poller.poll(0)


class NewSocket:
    """On its way to libcurl, which takes a duplicate of its descriptor; this one closes with the object."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        self._opened: socket.socket | None = None
        self._opened = socket.socket(family, kind, protocol)
        self._opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)

    def fileno(self) -> int:
        return self._opened.fileno() if self._opened else -1

    def __del__(self) -> None:
        if self._opened:
            self._opened.close()
