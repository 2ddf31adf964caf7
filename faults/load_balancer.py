"""A reverse proxy before several webs, as a deployment has one: a connection to a web for each request."""

import http.client
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

_SECONDS = 10.0


class LoadBalancer:
    """Hands requests to the webs in turn; one that takes no connection is passed over."""

    def __init__(self, port: int, webs: Sequence[int]) -> None:
        self.port = port
        self._webs = list(webs)
        self._turn = 0
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator["LoadBalancer"]:
        """Listen for the block, in a thread of this process."""
        handler = type("Handler", (_Handler,), {"balancer": self})
        server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    @contextmanager
    def without(self, web: int) -> Iterator[None]:
        """Hand that web no request within the block; those that it has go on."""
        self._change(lambda: self._webs.remove(web))
        yield
        self._change(lambda: self._webs.append(web))

    def _change(self, act: Any) -> None:
        with self._lock:
            act()

    def in_turn(self) -> list[int]:
        """Return the webs in the order in which to try them for the next request."""
        with self._lock:
            self._turn += 1
            first = self._turn % len(self._webs)
            return self._webs[first:] + self._webs[:first]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    balancer: ClassVar[LoadBalancer]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for web in self.balancer.in_turn():
            connection = http.client.HTTPConnection("127.0.0.1", web, timeout=_SECONDS)
            try:
                connection.connect()
            except OSError:
                continue  # nothing was sent yet
            return self._hand_on(connection, body)
        return self._answer(502, b"")

    def _hand_on(self, connection: http.client.HTTPConnection, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        try:
            connection.request("POST", self.path, body, headers | {"Connection": "close"})
            answer = connection.getresponse()
            self._answer(answer.status, answer.read())
        except OSError:
            self._answer(502, b"")
        finally:
            connection.close()

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        return
