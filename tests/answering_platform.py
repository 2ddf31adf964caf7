"""A server that answers as the API does, and as networks do, for tests of the producer client."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from webhooks_app.client import (
    Client,
    Retries,
)

TOKEN = "tok_of-a-test-0123456789abcdef"
DATA = {"batch_id": "batch_1", "status": "succeeded"}

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Notes each request, then answers as the next entry of the server's script says; the last one stays."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Platform"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.server.ports.add(self.client_address[1])
        script = self.server.script
        (script.pop(0) if len(script) > 1 else script[0])(self)

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers), b""))
        answer(200)(self)

    def log_message(self, format: str, *args: object) -> None:
        return


class Platform(ThreadingHTTPServer):
    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.script: list[Answer] = [accept]
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.ports: set[int] = set()
        self.is_closing = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for _, headers, _ in self.requests]


def answer(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def write(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return write


def refuse(status: int, code: str, message: str, field: str | None = None) -> Answer:
    return answer(status, {"error": {"code": code, "message": message, "field": field}})


def hang(handler: Handler) -> None:
    handler.server.is_closing.wait(180)
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def hang_up_midway(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{")
    handler.close_connection = True


def speak_no_http(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-server\r\n\r\n")
    handler.close_connection = True


accept = answer(202, {"id": "evt_1", "deliveries": 2})
busy = answer(503, {"error": {"code": "unavailable", "message": "Later.", "field": None}})


@contextmanager
def serving(port: int = 0) -> Iterator[Platform]:
    server = Platform(port)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.002}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.is_closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Clock:
    """Time that passes when somebody sleeps, and what is to happen at some of its moments."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.pauses: list[float] = []
        self.events: dict[float, Callable[[], object]] = {}

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds
        for moment in [each for each in self.events if each <= self.seconds]:
            self.events.pop(moment)()

    @property
    def retries(self) -> Retries:
        return Retries(now=self.now, sleep=self.sleep)


@pytest.fixture
def platform() -> Iterator[Platform]:
    with serving() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(platform: Platform, clock: Clock) -> Iterator[Client]:
    with Client(platform.url, TOKEN, retries=clock.retries) as client:
        yield client
