"""Metrics on an address of their own, without a token, for networks that only operators reach.

Each web process answers there, on a socket that shares the port with those of the others: the figures come
from the database, so that it makes no difference which of them is asked.
"""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

Render = Callable[[str], tuple[bytes, str]]

log = logging.getLogger(__name__)

# A client whose request and answer take longer is disconnected.
_SECONDS = 10.0
# Prometheus and its like ask once in several seconds.
_MOST_AT_ONCE = 4
# A client that keeps connecting must not fill the log.
_LOGGED_EVERY_SECONDS = 60.0


class MetricsServer(ThreadingHTTPServer):
    """Answers GET /metrics with what `render` returns for the Accept header, and nothing else."""

    daemon_threads = True

    def __init__(self, host: str, port: int, render: Render, *, seconds: float = _SECONDS) -> None:
        """Listen; a connection has so many `seconds`. Raises OSError where the address cannot be had."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.allow_reuse_port = True
        self.render = render
        self._seconds = seconds
        self._dropped_count, self._logged_at = 0, -_LOGGED_EVERY_SECONDS
        self._counting = threading.Lock()
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)
        super().__init__((host, port), _Handler)

    def start(self) -> None:
        """Answer in a thread of its own, for as long as the process lives."""
        threading.Thread(target=self.serve_forever, name="metrics", daemon=True).start()

    def server_bind(self) -> None:
        """Bind without the look-up of a name for the address, which may take long and is used nowhere."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self._note_dropped()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        deadline = threading.Timer(self._seconds, self._drop, (request,))
        deadline.daemon = True
        try:
            deadline.start()
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self.shutdown_request(request)  # once more, but for where no thread was to be had
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # such as a client that is gone
            log.warning("metrics_request_failed", exc_info=True)

    def _drop(self, request: socket.socket) -> None:
        self._note_dropped()
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def _note_dropped(self) -> None:
        """Log how many clients were turned away, or dropped for being slow, since that was last logged."""
        with self._counting:
            self._dropped_count += 1
            if time.monotonic() - self._logged_at < _LOGGED_EVERY_SECONDS:
                return
            count, self._dropped_count = self._dropped_count, 0
            self._logged_at = time.monotonic()
        log.warning("metrics_clients_dropped", extra={"count": count})


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "avra", ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        assert isinstance(self.server, MetricsServer)
        body, content_type = self.server.render(self.headers.get("Accept", ""))
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: it is asked every few seconds."""
