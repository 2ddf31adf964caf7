"""The sockets that libcurl wants watched, with as little bookkeeping as its requests allow."""

import selectors
import socket
from collections.abc import Iterator
from typing import Protocol

# One bit each; libcurl's CURL_POLL_ and CURL_CSELECT_ numbers are the same, which a test holds.
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class Watched:
    """A selector that forgets late: the connection of an ended request mostly serves the next one soon."""

    def __init__(self) -> None:
        # epoll or kqueue, which have no limit of 1,024 descriptors, as `select` has.
        self._selector = selectors.DefaultSelector()
        self._events: dict[int, int] = {}
        self._dozing: set[int] = set()

    def always(self, source: HasFileno) -> None:
        self._selector.register(source, READ)

    def watch(self, descriptor: int, events: int) -> None:
        known = self._events.get(descriptor)
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

    def close(self) -> None:
        self._selector.close()

    def _forget(self, descriptor: int) -> None:
        del self._events[descriptor]
        self._selector.unregister(descriptor)


class NewSocket:
    """On its way to libcurl, which takes a duplicate of its descriptor; this one closes with the object."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        self._opened: socket.socket | None = None
        self._opened = socket.socket(family, kind, protocol)

    def fileno(self) -> int:
        return self._opened.fileno() if self._opened else -1

    def __del__(self) -> None:
        if self._opened:
            self._opened.close()
