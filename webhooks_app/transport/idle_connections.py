"""Tell which idle connections of HTTP/1 may serve another request."""

import select
from collections.abc import Callable

from webhooks_app.transport.flood_guard import bytes_read, bytes_received

# The server's address and port, and our port.
ConnectionEnds = tuple[str, int, int]


class IdleConnections:
    """Follow the connections that libcurl keeps open.

    What comes in over one while no request runs answers nothing, and libcurl would take it for the response
    to the next request: it looks only after a connection was idle for a second. What OpenSSL has read along
    with the end of a response shows by the kernel's count of bytes.
    """

    def __init__(self) -> None:
        self.calls = 0  # of libcurl, so far
        self._pollers: dict[ConnectionEnds, select.poll] = {}
        self._ends: dict[int, ConnectionEnds] = {}
        self._descriptors: dict[ConnectionEnds, int] = {}

    def add(self, ends: ConnectionEnds, descriptor: int) -> None:
        former_ends = self._ends.get(descriptor, ends)
        self._pollers.pop(former_ends, None)
        self._descriptors.pop(former_ends, None)
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        self._ends[descriptor], self._pollers[ends], self._descriptors[ends] = ends, poller, descriptor

    def is_reusable(self, ends: ConnectionEnds) -> bool:
        """Return whether nothing has come in, not even the end; also true of connections never added."""
        poller = self._pollers.get(ends)
        return poller is None or not poller.poll(0)

    def unread_check(self, ends: ConnectionEnds) -> Callable[[], bool] | None:
        """Return a function that tells whether nothing was read since now; None if the system cannot tell.

        What has come in and was not read does not matter: it may be the answer. libcurl reads in the very
        call in which it sends, so that a response which was there before shows in this call.
        """
        descriptor = self._descriptors.get(ends)
        received = None if descriptor is None else bytes_received(descriptor)
        if descriptor is None or received is None:
            return None
        call = self.calls
        return lambda: self.calls == call and bytes_read(descriptor) == received
