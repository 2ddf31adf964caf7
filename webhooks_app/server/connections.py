"""Connections of clients, each with deadlines for the head of a request and for its answer to be read."""

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webhooks_app.monitoring.counters import ProcessCounters
from webhooks_app.server.server_limits import ServerLimits
from webhooks_app.server.wsgi_bridge import CUT_OFF

_CHECK_SECONDS = 0.5
_CROWDED_SECONDS = 1.0


def _refusal(status: str, text: str, more_headers: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n{more_headers}"
        f"content-length: {len(text)}\r\n\r\n{text}"
    ).encode("ascii")


_SLOW_HEAD = _refusal("408 Request Timeout", "The request took too long.")
_CROWDED = _refusal(
    "503 Service Unavailable",
    "Too many clients are connected. Send this again.",
    "retry-after: 1\r\n",
)
_LARGE_HEAD = _refusal("431 Request Header Fields Too Large", "The request's headers are too large.")


class Connection(HttpToolsProtocol):
    """An HTTP/1.1 connection that `Connections` looks after.

    The methods that are overridden here belong to asyncio and to httptools, but for `shutdown`, which uvicorn
    calls; `cycle` is uvicorn's, too.
    """

    def __init__(
        self, *arguments: Any, limits: ServerLimits, deadlines: "Connections", **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self._deadlines = deadlines
        # When the head that is awaited or being read began; None while a request is worked on.
        self.head_since: float | None = None
        self.head_bytes = 0
        self.is_crowded_out = False
        # What waited to be read by the client at the last check, and since when it has not become less.
        self.unread_bytes = 0
        self.unread_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.head_since = self.loop.time()
        if not self._deadlines.admit(self):
            # Once its request is there: a connection that is closed upon unread bytes is reset.
            self.is_crowded_out = True
            self.loop.call_later(_CROWDED_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadlines.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.is_crowded_out:
            self.refuse(_CROWDED)
            return
        reads_head = self.head_since is not None
        super().data_received(data)
        if self.is_idle:  # a blank line, which begins no head
            self._begin_head()
        if reads_head and self.head_since is not None:
            self.head_bytes += len(data)
            if self.head_bytes > self._limits.head_bytes:
                self.refuse(_LARGE_HEAD)

    def on_message_begin(self) -> None:
        self._begin_head()
        super().on_message_begin()
        self.scope["state"][CUT_OFF] = self._cut_off

    def _begin_head(self) -> None:
        """Note when the head began, unless it has before."""
        if self.head_since is None:
            self.head_since, self.head_bytes = self.loop.time(), 0

    def on_headers_complete(self) -> None:
        self.head_since = None
        super().on_headers_complete()
        if self._deadlines.closes_after_answers:
            self.close_after_answer()

    def close_after_answer(self) -> None:
        """Close after the answer to the current request, which says so to the client."""
        if not self.is_idle:
            self.cycle.keep_alive = False

    def _cut_off(self) -> None:
        """Close in the middle of an answer, once what was sent of it is read; uvicorn takes it for lost."""
        self.cycle.disconnected = True
        self.transport.close()

    def shutdown(self) -> None:
        """Close at once, as the process ends, what would only be waited for: a body that is not whole."""
        if not self.is_idle and self.cycle.more_body:
            self.transport.abort()
        else:
            super().shutdown()

    @property
    def is_idle(self) -> bool:
        """Whether no request of this client is being worked on."""
        return self.cycle is None or self.cycle.response_complete

    def refuse(self, answer: bytes) -> None:
        """Answer a request whose head is not whole, and close."""
        self.head_since = None
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


class Connections:
    """Looks after all connections of a process twice a second, which costs a request nothing."""

    def __init__(self, limits: ServerLimits, counters: ProcessCounters | None = None) -> None:
        self._limits = limits
        self._counters = counters or ProcessCounters()
        self._connections: dict[Connection, None] = {}  # in the order in which they came
        self.closes_after_answers = False

    def protocol(self) -> "partial[Connection]":
        """Return what makes the protocol of a new connection."""
        return partial(Connection, limits=self._limits, deadlines=self)

    def admit(self, connection: Connection) -> bool:
        """Look after a new connection, for which another may be closed; return False if none can make room.

        One that asks for nothing can: it sends a head slowly, or not at all, or is idle between two requests.
        """
        is_crowded = len(self._connections) >= self._limits.connections
        if is_crowded and (idle := self._first_idle()) is not None:
            self._connections.pop(idle)
            idle.transport.abort()
            is_crowded = False
        if is_crowded:
            self._counters.count("unavailable", "crowded")
        else:
            self._connections[connection] = None
        return not is_crowded

    def _first_idle(self) -> Connection | None:
        """Return, of those that are in the middle of no request, the one that came first."""
        return next((each for each in self._connections if each.is_idle), None)

    @property
    def has_connections(self) -> bool:
        return bool(self._connections)

    def close_after_answers(self) -> None:
        """Have each connection closed after its next answer, which says so to the client."""
        self.closes_after_answers = True
        for connection in self._connections:
            connection.close_after_answer()

    def forget(self, connection: Connection) -> None:
        self._connections.pop(connection, None)

    async def enforce(self) -> None:
        """Close what is past its deadline, until cancelled."""
        while True:
            await asyncio.sleep(min(_CHECK_SECONDS, self._limits.head_seconds / 4))
            now = asyncio.get_running_loop().time()
            for connection in tuple(self._connections):
                self._check_head(connection, now)
                self._check_answer(connection, now)

    def _check_head(self, connection: Connection, now: float) -> None:
        since = connection.head_since
        if since is None or now - since < self._limits.head_seconds:
            return
        if not connection.is_idle:  # the head of a next request, behind an answer that is under way
            connection.head_since = now
            return
        if connection.head_bytes or connection.cycle:
            connection.refuse(_SLOW_HEAD)
        else:
            connection.transport.close()  # it has sent nothing

    def _check_answer(self, connection: Connection, now: float) -> None:
        """Abort a connection whose client takes nothing of its answer; `close` would wait for it for ever."""
        unread = connection.transport.get_write_buffer_size()
        if unread == 0 or unread != connection.unread_bytes:
            connection.unread_bytes, connection.unread_since = unread, now
        elif now - connection.unread_since >= self._limits.answer_seconds:
            connection.transport.abort()
