"""A delivery handed on to a server on this machine, as a worker would send it."""

import http.client
import json
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

# What the log keeps of an answer's body; more of it is not read.
KEPT_BYTES = 16 * 1024
_MOST_HEADERS = 200
_REPORTED_HEADER_BYTES = 20 * 1024  # beside the body, which is a third longer in base64: it takes 64 KiB


@dataclass(frozen=True, slots=True)
class ForwardTarget:
    """Where deliveries are handed on to. `headers` come with each beside those of the platform."""

    url: str
    headers: Sequence[tuple[str, str]] = ()
    verifies_tls: bool = True

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)


@dataclass(slots=True)
class Forwarded:
    """What came of it: a `status`, or a `failure` with a `detail` in words."""

    status: int | None = None
    reason: str = ""
    failure: str | None = None
    detail: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    is_truncated: bool = False
    first_byte_us: int = 0
    total_us: int = 0

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status <= 299

    def as_report(self) -> dict[str, Any]:
        """Return what the platform is told, but for which request it is about."""
        report: dict[str, Any] = {"first_byte_us": self.first_byte_us, "total_us": self.total_us}
        if self.status is None:
            return report | {"failure": self.failure, "detail": self.detail[:300]}
        return report | {
            "status": self.status,
            "response_headers": _first(self.headers),
            "response_body_base64": b64encode(self.body).decode(),
            "is_truncated": self.is_truncated,
        }


def _first(headers: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return the first of the headers, no more than the platform takes in a report."""
    left, found = _REPORTED_HEADER_BYTES, list[list[str]]()
    for header in headers[:_MOST_HEADERS]:
        left -= len(json.dumps(header))
        if left < 0:
            break
        found.append(list(header))
    return found


def normalise(given: str) -> str:
    """Return the URL that `3000`, `localhost:3000/hooks` or a URL stands for. Raises ValueError."""
    text = given.strip()
    if text.isascii() and text.isdecimal():
        text = f"localhost:{text}"
    url = text if "://" in text else f"http://{text}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("Give a URL such as http://localhost:3000/webhooks, or a port.")
    if not url.isprintable() or " " in url or parts.fragment:
        raise ValueError("The URL holds a space, a control character or a fragment (#).")
    return parts._replace(path=_encoded(parts.path) or "/", query=_encoded(parts.query)).geturl()


def _encoded(part: str) -> str:
    """Return a path or a query with what is not ASCII percent-encoded (RFC 3987, section 3.1)."""
    return "".join(each if each.isascii() else quote(each) for each in part)


def forward(
    target: ForwardTarget, headers: Sequence[tuple[str, str]], body: bytes, *, timeout_seconds: float
) -> Forwarded:
    """Send the request and return what came of it; redirects are not followed, proxies not asked."""
    began = time.monotonic()
    result = Forwarded()
    connection = _connection(target, timeout_seconds)
    connection.response_class = _Response
    try:
        with _Deadline(connection, began + timeout_seconds) as deadline:
            _exchange(connection, target, headers, body, result, began, deadline)
    except (OSError, http.client.HTTPException) as error:
        if result.status is None:
            is_over = time.monotonic() >= began + timeout_seconds
            failed = TimeoutError() if is_over else error
            result.failure, result.detail = _failure(failed, target, timeout_seconds)
    finally:
        connection.close()
    result.total_us = _microseconds(began)
    return result


def _connection(target: ForwardTarget, timeout_seconds: float) -> http.client.HTTPConnection:
    parts = target.parts
    assert parts.hostname
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_seconds)
    context = ssl.create_default_context()
    if not target.verifies_tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout_seconds, context=context)


def _exchange(
    connection: http.client.HTTPConnection,
    target: ForwardTarget,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    result: Forwarded,
    began: float,
    deadline: "_Deadline",
) -> None:
    parts = target.parts
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    # Nothing that a worker would not send.
    connection.putrequest("POST", path.encode("utf-8", "surrogateescape").decode("latin-1"), False, True)
    for name, value in (*headers, *target.headers):
        connection.putheader(name, value.encode())
    connection.putheader("content-length", str(len(body)))
    connection.endheaders(body)
    deadline.renew()
    response = connection.getresponse()
    deadline.renew()
    result.first_byte_us = _microseconds(began)
    result.status, result.reason = response.status, response.reason
    result.headers = response.getheaders()
    read = bytearray()
    while len(read) <= KEPT_BYTES and (piece := response.read1(KEPT_BYTES + 1 - len(read))):
        read += piece
        deadline.renew()
        result.body = bytes(read[:KEPT_BYTES])
    result.is_truncated = len(read) > KEPT_BYTES


class _Response(http.client.HTTPResponse):
    """An answer that counts once its whole head has come, as one that a worker gets."""

    def begin(self) -> None:
        head = _Head(self.fp)
        self.fp: Any = head
        try:
            super().begin()
        finally:
            self.fp = self.fp and head.source
        if head.last_line.strip(b"\r\n"):
            raise http.client.RemoteDisconnected("The connection ended within the head.")


class _Head:
    """The lines of a head as they come, which end with an empty one."""

    def __init__(self, source: Any) -> None:
        self.source, self.last_line = source, b""

    def readline(self, limit: int) -> bytes:
        line: bytes = self.source.readline(limit)
        self.last_line = line or self.last_line
        return line

    def close(self) -> None:
        self.source.close()


class _Deadline:
    """Ends an exchange once its time is over, by `time.monotonic()`.

    A time-out alone does not: what comes byte by byte outlasts it. The connection lets go of its socket once
    a head says that no answer follows this one; its body comes by that socket all the same.
    """

    def __init__(self, connection: http.client.HTTPConnection, ends_at: float) -> None:
        self._connection, self._ends_at = connection, ends_at
        self._held: socket.socket | None = None
        self._timer = threading.Timer(ends_at - time.monotonic(), self._cut_off)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()

    def renew(self) -> None:
        """Give the socket what is left of the time. Raises TimeoutError."""
        self._held = self._connection.sock or self._held
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self._held is not None:
            self._held.settimeout(left)

    def _cut_off(self) -> None:
        with suppress(OSError):
            if found := self._connection.sock or self._held:
                found.shutdown(socket.SHUT_RDWR)


def _failure(error: Exception, target: ForwardTarget, timeout_seconds: float) -> tuple[str, str]:
    """Return the class of failure, as the log has it, and a sentence."""
    where = target.parts.netloc
    match error:
        case socket.gaierror():
            return "dns", f"{target.parts.hostname} cannot be resolved on this machine."
        case TimeoutError():
            return "timeout", f"No answer of {where} within {timeout_seconds:g} s."
        case ssl.SSLError():
            return "tls", f"TLS with {where} failed: {error.reason or error}."
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return "connection_lost", f"{where} closed the connection without an answer."
        case OSError():
            return "connect", f"No connection to {where}: {error.strerror or error}."
        case http.client.BadStatusLine() | http.client.UnknownProtocol():
            return "invalid_response", f"What {where} answered is not HTTP."
        case _:
            return "invalid_response", f"What {where} answered cannot be read: {error}."


def _microseconds(began: float) -> int:
    return int((time.monotonic() - began) * 1_000_000)
