"""What the HTTP server calls for each request: reads its body within limits, then has Flask answer it."""

import asyncio
import json

from webhooks_app.monitoring.counters import ProcessCounters
from webhooks_app.server import host_header
from webhooks_app.server.event_intake import EventIntake
from webhooks_app.server.server_limits import ServerLimits
from webhooks_app.server.wsgi_bridge import Receive, Send, WsgiBridge, busy
from webhooks_app.server.wsgi_environ import Scope
from webhooks_app.web.api.errors import ApiError, error_json
from webhooks_app.web.middleware import request_ids

# Such a body is taken however much others send: it is the number of connections that limits these.
_SMALL_BYTES = 32 * 1024


class Disconnected(Exception):
    """The client went away, or its body broke the rules of HTTP, which the server has answered."""


class AsgiApp:
    """One per process; `bodies_bytes` of the limits holds for all large bodies together."""

    def __init__(
        self,
        bridge: WsgiBridge,
        limits: ServerLimits,
        intake: EventIntake | None = None,
        counters: ProcessCounters | None = None,
        *,
        is_behind_proxies: bool = False,
    ) -> None:
        self._bridge = bridge
        self._intake = intake
        self._is_behind_proxies = is_behind_proxies
        self._counters = counters or ProcessCounters()
        self._limits = limits
        self._bodies_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        request_id = self._request_id(scope)
        try:
            host_header.check(scope["http_version"], scope["headers"])
            await self._read(scope, receive, body)
            await self._answer(scope, bytes(body), receive, send, request_id)
        except ApiError as refused:
            self._give_back(body)
            if refused.status == 503:
                self._counters.count("unavailable", refused.code)
            await self._refuse(refused, scope, receive, send, request_id)
        except Disconnected:
            pass
        finally:
            self._give_back(body)

    def _give_back(self, body: bytearray) -> None:
        self._bodies_bytes -= len(body)
        body.clear()

    def _request_id(self, scope: Scope) -> str:
        claimed = None
        if self._is_behind_proxies:
            claimed = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
        named = claimed.decode("latin-1") if claimed else None
        return request_ids.choose(named, is_behind_proxies=self._is_behind_proxies)

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send, request_id: str) -> None:
        failure = None
        if self._intake is not None and self._intake.takes(scope):
            answer = await self._intake.accept(scope, body)
            if isinstance(answer, tuple):
                headers, content = answer
                headers.append((b"x-request-id", request_id.encode("latin-1")))
                await send({"type": "http.response.start", "status": 202, "headers": headers})
                await send({"type": "http.response.body", "body": content})
                return
            failure = answer
        await self._bridge.answer(scope, body, receive, send, failure=failure, request_id=request_id)

    async def _read(self, scope: Scope, receive: Receive, body: bytearray) -> None:
        """Read the request's body into `body`. Raises ApiError and Disconnected."""
        if _stated_length(scope) > self._limits.body_bytes:
            raise _too_large()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while await self._read_some(receive, body):
                    pass
        except TimeoutError:
            raise _too_slow() from None

    async def _read_some(self, receive: Receive, body: bytearray) -> bool:
        """Read what came; return whether there is more to come."""
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        some: bytes = message["body"]
        body += some
        self._bodies_bytes += len(some)
        if len(body) > self._limits.body_bytes:
            raise _too_large()
        if len(body) > _SMALL_BYTES and self._bodies_bytes > self._limits.bodies_bytes:
            raise busy()
        return bool(message.get("more_body"))

    async def _refuse(
        self, refused: ApiError, scope: Scope, receive: Receive, send: Send, request_id: str
    ) -> None:
        """Answer, and close the connection once the client has read that: a browser by the sentence alone.

        Others get the API's shape of errors.
        """
        if any(name == b"accept" and b"text/html" in value for name, value in scope["headers"]):
            content_type, body = "text/plain; charset=utf-8", f"{refused.message}\n".encode()
        else:
            content_type, body = "application/json", json.dumps(error_json(refused)).encode()
        headers = {"content-type": content_type, "connection": "close", **refused.headers}
        headers |= {"content-length": str(len(body)), "x-request-id": request_id}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": refused.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await _discard(receive, self._limits.discard_seconds)
        await send({"type": "http.response.body", "body": b""})


# Made anew each time: an exception that is raised again holds on to the frames of all times before.
def _too_large() -> ApiError:
    return ApiError(413, "too_large", "The body is too large.")


def _too_slow() -> ApiError:
    return ApiError(408, "request_timeout", "The body took too long to arrive.")


def _stated_length(scope: Scope) -> int:
    # The server has refused what is no number, and what differs; how many zeros come first it lets pass.
    stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(stated.lstrip(b"0") or b"0")


async def _discard(receive: Receive, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
    except TimeoutError:
        pass
