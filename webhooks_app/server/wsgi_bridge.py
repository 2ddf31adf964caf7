"""From an ASGI request, whose body has been read, to a WSGI application in a thread, and back (PEP 3333)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Protocol

from webhooks_app.server.wsgi_environ import Scope, environ_of
from webhooks_app.web.api.errors import ApiError
from webhooks_app.web.api.producer import FAILURE_KEY
from webhooks_app.web.middleware import logged_ids, request_deadline, request_ids
from webhooks_app.web.responses import WAIT_HEADER, CutShort

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Any]
Headers = list[tuple[bytes, bytes]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# A body in one piece goes out with the headers; of one that is made bit by bit, this much is gathered first.
_PIECE_BYTES = 64 * 1024
_END = object()
_WAIT_HEADER = WAIT_HEADER.lower().encode("latin-1")
_CUT_SHORT = object()
# The name under which a scope's state holds a function that closes the connection in the middle of an answer.
CUT_OFF = "cut_off"


log = logging.getLogger(__name__)

# What needs nothing that others could keep busy.
_LIVENESS, _STATIC = "/livez", "/static/"


@dataclass(slots=True)
class LongPoll:
    """How an answer waits, as a long poll; see `web.responses.ask_to_wait`. `headers` are added to it."""

    listener_id: str
    seconds: int
    workspace_id: str
    token_id: str
    session_id: str
    headers: Headers = field(default_factory=list)


class LongPollWaiter(Protocol):
    """What keeps long polls waiting until something is due."""

    async def wait(self, long_poll: LongPoll, receive: Receive, in_thread: Callable[..., Any], /) -> bool:
        """Return whether to ask the application again. Raises ApiError where none may wait."""
        ...


class WsgiBridge:
    """Runs a WSGI application in `threads` threads, and one more for liveness and static files.

    A thread is held while the application computes, never while a client is waited for. A request for which
    none comes free within `queue_seconds` is refused. `path_prefix` is one that a proxy may have left.
    """

    def __init__(
        self,
        app: WsgiApp,
        *,
        threads: int,
        queue_seconds: float,
        path_prefix: str = "",
        waits: "LongPollWaiter | None" = None,
    ) -> None:
        self._app = app
        self._waits = waits
        self._queue_seconds, self._path_prefix = queue_seconds, path_prefix
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="web")
        self._light_pool = ThreadPoolExecutor(1, thread_name_prefix="light")

    async def answer(
        self,
        scope: Scope,
        body: bytes,
        receive: Receive,
        send: Send,
        *,
        failure: Exception | None = None,
        request_id: str = "",
    ) -> None:
        """Have the application answer, and send what it says until the client has it or is gone.

        `failure` is an exception that the application is to raise as if it had come from the database.
        Raises ApiError where all threads stay busy, or too many requests of one token wait.
        """
        noted = scope["state"].get(logged_ids.KEY)
        ours = {FAILURE_KEY: failure, request_ids.ENVIRON_KEY: request_id, logged_ids.KEY: noted}
        context = Context()  # the application may hold context variables from one piece to the next
        answer = await self._begin(environ_of(scope, body) | ours, context)
        if long_poll := answer.take_long_poll():
            if self._waits is not None and await self._waits.wait(long_poll, receive, self._in_thread):
                answer = await self._begin(environ_of(scope, body) | ours, context)
                answer.take_long_poll()
            answer.headers += long_poll.headers
        start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        if answer.rest is None:
            await send(start)
            await send({"type": "http.response.body", "body": answer.first})
        else:
            cut_off = scope["state"][CUT_OFF]
            await self._stream(answer, start, context, receive, send, cut_off=cut_off)

    async def _stream(
        self,
        answer: "_WsgiAnswer",
        start: dict[str, Any],
        context: Context,
        receive: Receive,
        send: Send,
        *,
        cut_off: Callable[[], None],
    ) -> None:
        gone = asyncio.ensure_future(receive())  # after the body, `receive` returns once the client is gone
        try:
            await send(start)
            piece = answer.first
            while isinstance(piece, bytes) and not gone.done():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await self._in_thread(context.run, answer.next_piece)
            if piece is _CUT_SHORT:
                cut_off()
            else:
                await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            await self._in_thread(context.run, _close, answer.source)

    async def _begin(self, environ: dict[str, Any], context: Context) -> "_WsgiAnswer":
        path = environ["PATH_INFO"].removeprefix(self._path_prefix)
        is_light = path == _LIVENESS or path.startswith(_STATIC)
        pool = self._light_pool if is_light else self._pool
        environ[request_deadline.RECEIVED_AT] = time.monotonic()
        work: Future[_WsgiAnswer] = pool.submit(context.run, self._call, environ)
        # Work that a thread has begun cannot be canceled any more, and goes on.
        patience = asyncio.get_running_loop().call_later(self._queue_seconds, work.cancel)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            log.warning("all_threads_busy")
            raise busy() from None
        finally:
            patience.cancel()

    def _in_thread(self, act: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
        return asyncio.get_running_loop().run_in_executor(self._pool, act, *arguments)

    def _call(self, environ: dict[str, Any]) -> "_WsgiAnswer":
        answer = _WsgiAnswer()
        answer.source = self._app(environ, answer.start)
        is_whole = isinstance(answer.source, (list, tuple)) or _has_length(answer.headers)
        try:
            if is_whole:
                answer.first = b"".join(answer.source)
            else:
                answer.rest = iter(answer.source)
                answer.first = answer.next_piece()
        except BaseException:
            _close(answer.source)
            raise
        if is_whole:
            _close(answer.source)
        return answer

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._light_pool.shutdown(wait=False, cancel_futures=True)


class _WsgiAnswer:
    """What the application says: status, headers, the first piece of the body, and where the rest is from."""

    status = 500
    headers: Headers
    source: Iterable[bytes]
    first: Any = b""
    rest: Iterator[bytes] | None = None
    is_cut_short = False

    def next_piece(self) -> Any:
        """Return the next bytes, some ten kilobytes of them where there are so many; _END or _CUT_SHORT."""
        piece = bytearray()
        try:
            for some in self.rest or ():
                piece += some
                if len(piece) >= _PIECE_BYTES:
                    break
        except CutShort:
            self.is_cut_short = True
        if piece:
            return bytes(piece)
        return _CUT_SHORT if self.is_cut_short else _END

    def take_long_poll(self) -> LongPoll | None:
        """Return what the application asks of the server, and take it out of what the client gets."""
        asked = [value for name, value in self.headers if name == _WAIT_HEADER]
        if not asked:
            return None
        self.headers = [header for header in self.headers if header[0] != _WAIT_HEADER]
        listener_id, seconds, workspace_id, token_id, session_id = asked[0].decode("latin-1").split(" ")
        return LongPoll(listener_id, int(seconds), workspace_id, token_id, session_id)

    def start(self, status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        self.status = int(status[:3])
        sent = ((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        # The server dates each answer itself, and an answer has one date (RFC 9110, section 5.3).
        self.headers = [header for header in sent if header[0] != b"date"]


def busy() -> ApiError:
    """Make the refusal of what comes while too much else is under way."""
    message = "Too much is being sent at once. Send this again."
    return ApiError(503, "busy", message, headers={"retry-after": "1"})


def _has_length(headers: Headers) -> bool:
    """Return whether the body's length is known, so that it is at hand as a whole or is a file."""
    return any(name == b"content-length" for name, _ in headers)


def _close(source: Any) -> None:
    if hasattr(source, "close"):
        source.close()
