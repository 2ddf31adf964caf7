"""Metrics on an address of their own, without a token, for networks that only operators reach.

Each web process answers there, on a socket that shares the port with those of the others: the figures come
from the database, so that it makes no difference which of them is asked.
"""

import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Render = Callable[[str], tuple[bytes, str]]

log = logging.getLogger(__name__)

# A client that sends no request, or reads no answer, is left.
_SECONDS = 10.0
# Prometheus and its like ask once in several seconds.
_MOST_AT_ONCE = 4


class MetricsListener(ThreadingHTTPServer):
    """Answers GET /metrics with what `render` returns for the Accept header, and nothing else."""

    daemon_threads = True

    def __init__(self, host: str, port: int, render: Render) -> None:
        """Listen. Raises OSError where the address cannot be had."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.allow_reuse_port = True
        self.render = render
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)
        super().__init__((host, port), _Handler)

    def start(self) -> None:
        """Answer in a thread of its own, for as long as the process lives."""
        threading.Thread(target=self.serve_forever, name="metrics", daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.warning("metrics_request_failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = _SECONDS
    server_version, sys_version = "avra", ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        assert isinstance(self.server, MetricsListener)
        body, content_type = self.server.render(self.headers.get("Accept", ""))
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: it is asked every few seconds."""
