"""The access log: one line for each request once its answer is out, for those who switch it on."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from webhooks_app.core.text_display import MASK
from webhooks_app.server.wsgi_bridge import Headers, Receive, Send
from webhooks_app.server.wsgi_environ import Scope
from webhooks_app.web.middleware import logged_ids

log = logging.getLogger(__name__)

AsgiCallable = Callable[[Scope, Receive, Send], Awaitable[None]]
# Whatever follows one of these in a path gives access to whoever knows it.
_SECRET_BEHIND = ("/invitations/", "/password-reset/", "/login/link/")


class AccessLog:
    """Logs no query, no header and no body, which may hold what only the two sides should know."""

    def __init__(self, app: AsgiCallable, *, trusted_proxies: int) -> None:
        self._app = app
        self._trusted_proxies = trusted_proxies
        log.setLevel("INFO")  # whoever switches it on means it, whatever else is logged

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        answer: dict[str, Any] = {"status": 0, "bytes": 0, "request_id": None}
        noted: dict[str, Any] = scope["state"].setdefault(logged_ids.KEY, {})

        async def count_and_send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
                answer["request_id"] = _header(message["headers"], b"x-request-id")
                noted.update(_made(message["headers"]))
            else:
                answer["bytes"] += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, count_and_send)
        finally:
            duration_ms = round((time.monotonic() - began) * 1000, 1)
            log.info("request", extra=self._of(scope) | noted | answer | {"duration_ms": duration_ms})

    def _of(self, scope: Scope) -> dict[str, Any]:
        return {
            "method": scope["method"],
            "path": mask_path(scope["path"]),
            "client": client_of(scope, self._trusted_proxies),
            **logged_ids.of_path(scope["path"]),
        }


def mask_path(path: str) -> str:
    """Return the path without what is secret in it. Pure."""
    for before in _SECRET_BEHIND:
        head, found, tail = path.partition(before)
        if found and tail:
            return head + found + MASK
    return path


def client_of(scope: Scope, trusted_proxies: int) -> str:
    """Return who asks: whom so many proxies say that they ask for, or else who is connected. Pure."""
    address = scope["client"][0] if scope["client"] else ""
    if not trusted_proxies:
        return address
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = [hop.strip() for hop in ",".join(named).split(",") if hop.strip()]
    return hops[-trusted_proxies] if len(hops) >= trusted_proxies else address


def _made(headers: Headers) -> dict[str, str]:
    """Return the ids of where the answer leads, such as to the endpoint that was made."""
    location = _header(headers, b"location") or ""
    return logged_ids.of_path(location.partition("?")[0])


def _header(headers: Headers, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in headers if name == wanted), None)
