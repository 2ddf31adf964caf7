"""Tell which idle connections of HTTP/1 may serve another request."""

import select

# The server's address and port, and our port.
ConnectionEnds = tuple[str, int, int]


class IdleConnections:
    """Follow the connections that libcurl keeps open.

    What comes in over one while no request runs answers nothing, and libcurl would take it for the response
    to the next request: it looks only after a connection was idle for a second.
    """

    def __init__(self) -> None:
        self._pollers: dict[ConnectionEnds, select.poll] = {}
        self._ends: dict[int, ConnectionEnds] = {}

    def add(self, ends: ConnectionEnds, descriptor: int) -> None:
        self._pollers.pop(self._ends.get(descriptor, ends), None)
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        self._ends[descriptor], self._pollers[ends] = ends, poller

    def is_reusable(self, ends: ConnectionEnds) -> bool:
        """Return whether nothing has come in, not even the end; also true of connections never added."""
        poller = self._pollers.get(ends)
        return poller is None or not poller.poll(0)
