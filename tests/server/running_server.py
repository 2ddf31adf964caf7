"""A server of the product on a port of its own, in a thread, with an application of the test's."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

from webhooks_app.server import listening_socket
from webhooks_app.server.event_intake import EventIntake
from webhooks_app.server.long_polls import LongPolls
from webhooks_app.server.server_limits import DEFAULT_LIMITS, ServerLimits
from webhooks_app.server.web_server import WebServer
from webhooks_app.server.wsgi_bridge import WsgiApp

SECONDS = 60.0
# Of the product's limits those that a machine may exceed that is busy, or stands still for some seconds.
PATIENT = replace(
    DEFAULT_LIMITS,
    head_seconds=600.0,
    body_seconds=600.0,
    answer_seconds=600.0,
    queue_seconds=600.0,
)


class RunningServer:
    def __init__(self, port: int, server: WebServer, loop: asyncio.AbstractEventLoop) -> None:
        self.port, self.server, self.loop = port, server, loop

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)
        client.settimeout(SECONDS)
        return client

    def exchange(self, *parts: bytes) -> bytes:
        """Send the parts and return all that comes until the server closes the connection."""
        with self.connect() as client:
            for part in parts:
                client.sendall(part)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    received = b""
    while some := client.recv(65536):
        received += some
    return received


@contextmanager
def serving(
    app: WsgiApp,
    limits: ServerLimits = PATIENT,
    *,
    threads: int = 4,
    intake: EventIntake | None = None,
    trusted_proxies: int = 0,
    has_access_log: bool = False,
    waits: LongPolls | None = None,
) -> Iterator[RunningServer]:
    listener = listening_socket.listen("127.0.0.1", 0)
    port, ready = listener.getsockname()[1], Future[asyncio.AbstractEventLoop]()
    server = WebServer(
        app,
        listener,
        threads=threads,
        limits=limits,
        intake=intake,
        trusted_proxies=trusted_proxies,
        has_access_log=has_access_log,
        waits=waits,
    )

    def be_ready() -> None:
        ready.set_result(asyncio.get_running_loop())

    thread = threading.Thread(target=lambda: asyncio.run(server.run(be_ready)), daemon=True)
    thread.start()
    try:
        yield RunningServer(port, server, ready.result(SECONDS))
    finally:
        server.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()
