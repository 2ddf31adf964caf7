"""The web's HTTP server: uvicorn on one listening socket, with our deadlines and Flask behind it."""

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from flask import Flask

from webhooks_app.extensions import services
from webhooks_app.jobs.process import STOP_SIGNALS
from webhooks_app.server import event_intake
from webhooks_app.server.asgi_app import AsgiApp
from webhooks_app.server.connections import Deadlines
from webhooks_app.server.event_intake import EventIntake
from webhooks_app.server.server_limits import DEFAULT_LIMITS, ServerLimits
from webhooks_app.server.wsgi_bridge import WsgiApp, WsgiBridge

_BACKLOG = 1024
# asyncio accepts as many connections as the backlog has before it looks at the first of them, and writes a
# traceback for each that it has no descriptor for.
_ACCEPTED_AT_ONCE = 16
# For answers that are cut short by the end of the process to give back what they hold.
_CLEAN_UP_SECONDS = 1.0


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: asyncio sets TCP_NODELAY only where it knows that a connection is one of TCP.
    # Without it, each body would wait 40 ms for the client's word that it has the head.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def serve(
    app: Flask,
    listener: socket.socket,
    *,
    threads: int,
    when_ready: Callable[[], None],
    limits: ServerLimits = DEFAULT_LIMITS,
) -> None:
    """Answer requests until SIGTERM or SIGINT, then finish those under way."""
    settings = services(app).settings
    intake = EventIntake(
        services(app).group_commit,
        headers=event_intake.answer_headers(app),
        path_prefix=settings.path_prefix,
        is_behind_proxies=settings.trusted_proxies > 0,
    )
    server = WebServer(app, listener, threads=threads, limits=limits, intake=intake)
    for number in STOP_SIGNALS:
        # Until uvicorn has its own, and at its end, when it restores these and repeats the signal.
        signal.signal(number, lambda *_: server.stop())
    asyncio.run(server.run(when_ready))


class WebServer:
    """One per process."""

    def __init__(
        self,
        app: WsgiApp,
        listener: socket.socket,
        *,
        threads: int,
        limits: ServerLimits = DEFAULT_LIMITS,
        intake: EventIntake | None = None,
    ) -> None:
        self._listener = listener
        self._bridge = WsgiBridge(app, threads=threads)
        self._deadlines = Deadlines(limits)
        self._uvicorn = uvicorn.Server(
            _config(AsgiApp(self._bridge, limits, intake), self._deadlines, limits)
        )

    async def run(self, when_ready: Callable[[], None]) -> None:
        """Answer requests until `stop`, or a signal where this is the main thread."""
        watching = asyncio.create_task(self._deadlines.enforce())
        announcing = asyncio.create_task(self._announce(when_ready))
        try:
            await self._uvicorn.serve(sockets=[self._listener])
        finally:
            announcing.cancel()
            watching.cancel()
            if cut_short := self._uvicorn.server_state.tasks:
                await asyncio.wait(cut_short, timeout=_CLEAN_UP_SECONDS)
            self._bridge.close()

    def stop(self) -> None:
        """Have `run` finish the requests under way and return; may be called from any thread."""
        self._uvicorn.should_exit = True

    async def _announce(self, when_ready: Callable[[], None]) -> None:
        while not self._uvicorn.started:
            await asyncio.sleep(0.005)
        self._listener.listen(_BACKLOG)  # which uvicorn has set to what it accepts at once
        when_ready()


def _config(app: AsgiApp, deadlines: Deadlines, limits: ServerLimits) -> uvicorn.Config:
    protocol: Any = deadlines.protocol()
    return uvicorn.Config(
        app,
        interface="asgi3",
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # a stranger's broken requests are no news
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=limits.stop_seconds,
        backlog=_ACCEPTED_AT_ONCE,
    )
