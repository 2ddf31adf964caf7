"""Watch the sockets that libcurl wants watched, with as little bookkeeping as its requests allow."""

import selectors
from collections.abc import Iterator
from typing import Protocol

from webhooks_app.transport.flood_guard import FloodCounter, bytes_received, shut_down
from webhooks_app.transport.sender_limits import FloodLimits

# One bit each; libcurl's CURL_POLL_ and CURL_CSELECT_ numbers are the same, which a test holds.
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class WatchedSockets:
    """Wait on a selector that unregisters late, as the connection of an ended request mostly serves the next.

    A descriptor that libcurl gave up stays registered, as `unwatched`, until a new socket is opened, it is
    watched again, or it becomes ready.
    """

    def __init__(self, limits: FloodLimits) -> None:
        self._limits = limits
        # epoll or kqueue, which have no limit of 1,024 descriptors, as `select` has.
        self._selector = selectors.DefaultSelector()
        self._events: dict[int, int] = {}
        self._unwatched: set[int] = set()
        self._flood_counters: dict[int, FloodCounter] = {}

    def watch_permanently(self, source: HasFileno) -> None:
        self._selector.register(source, READ)

    def watch(self, descriptor: int, events: int) -> None:
        registered = self._events.get(descriptor)
        if registered is None or descriptor in self._unwatched:
            self._flood_counters[descriptor] = FloodCounter(0 if registered is None else None)
            self._unwatched.discard(descriptor)
        if registered is None:
            self._selector.register(descriptor, events)
        elif registered != events:
            self._selector.modify(descriptor, events)
        self._events[descriptor] = events

    def unwatch(self, descriptor: int) -> None:
        """Note that libcurl gave it up, which does not say whether it closes the socket now or keeps it."""
        if descriptor in self._events:
            self._unwatched.add(descriptor)

    def unregister_unwatched(self) -> None:
        """Prepare for a new socket, as it may get the number of one that was closed."""
        while self._unwatched:
            self._unregister(self._unwatched.pop())

    def wait(self, seconds: float) -> Iterator[tuple[int, int]]:
        """Yield descriptors with the events that they are ready for."""
        for key, events in self._selector.select(seconds):
            if key.fd in self._unwatched:  # closed by its server; would be ready for ever
                self._unwatched.discard(key.fd)
                self._unregister(key.fd)
            else:
                yield key.fd, events

    def is_flooded(self, descriptor: int, read_seconds: float) -> bool:
        """Return whether one request got more than any response takes; to be called after each read."""
        counter = self._flood_counters.get(descriptor)
        return counter is not None and counter.is_flooded(descriptor, read_seconds, self._limits)

    def restart_flood_count(self, descriptor: int) -> None:
        """Count anew, as a request ended while others go on over its connection."""
        if descriptor in self._flood_counters:
            self._flood_counters[descriptor] = FloodCounter(None)

    def shut_down_flooded(self) -> None:
        """End each connection that floods. May be called from any thread, while libcurl reads."""
        for descriptor, counter in list(self._flood_counters.items()):
            if counter.exceeds(bytes_received(descriptor), self._limits):
                shut_down(descriptor)

    def close(self) -> None:
        self._selector.close()

    def _unregister(self, descriptor: int) -> None:
        del self._events[descriptor]
        del self._flood_counters[descriptor]
        self._selector.unregister(descriptor)
