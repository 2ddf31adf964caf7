"""The web's HTTP server: uvicorn on one listening socket, with our deadlines and Flask behind it."""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from flask import Flask

from webhooks_app.core import clock
from webhooks_app.db.engines import ReadDatabase
from webhooks_app.extensions import services
from webhooks_app.jobs.process import STOP_SIGNALS
from webhooks_app.listeners import due_requests
from webhooks_app.monitoring.counters import ProcessCounters
from webhooks_app.server import event_intake, long_polls, restart
from webhooks_app.server.access_log import AccessLog, AsgiCallable
from webhooks_app.server.asgi_app import AsgiApp
from webhooks_app.server.connections import Connections
from webhooks_app.server.draining_server import DrainingServer, config_for
from webhooks_app.server.event_intake import EventIntake
from webhooks_app.server.listening_socket import BACKLOG, has_connections_waiting
from webhooks_app.server.long_polls import LongPolls
from webhooks_app.server.server_limits import DEFAULT_LIMITS, ServerLimits
from webhooks_app.server.wsgi_bridge import WsgiApp, WsgiBridge

# For answers that are cut short by the end of the process to give back what they hold.
_CLEAN_UP_SECONDS = 1.0
_LOOK_SECONDS = 0.02
_RELEASE_SECONDS = 0.2
# Of the loop, from a connection that asyncio accepts to one that it serves.
_STEPS_TO_ACCEPT = 4


def serve(
    app: Flask,
    listener: socket.socket,
    *,
    threads: int,
    when_ready: Callable[[], None],
    when_ending: Callable[[], None] = lambda: None,
    limits: ServerLimits = DEFAULT_LIMITS,
) -> None:
    """Answer requests until SIGTERM or SIGINT, then finish those under way.

    `when_ending` is called at the signal, and has to close whatever else holds the listening socket: what
    connects to that once nobody accepts is reset.
    """

    def end() -> None:
        services(app).is_ending = True
        when_ending()

    server = _server_of(app, listener, threads=threads, limits=limits, when_ending=end)

    def stop(*_: object) -> None:
        end()
        server.stop()

    for number in STOP_SIGNALS:
        # Until uvicorn has its own, and at its end, when it restores these and repeats the signal.
        signal.signal(number, stop)
    restart.handle_leave_signal(server.leave)
    asyncio.run(server.run(when_ready))


def _server_of(
    app: Flask,
    listener: socket.socket,
    *,
    threads: int,
    limits: ServerLimits,
    when_ending: Callable[[], None],
) -> "WebServer":
    """Return a server for the application, as its settings want it."""
    settings = services(app).settings
    return WebServer(
        app,
        listener,
        threads=threads,
        limits=limits,
        intake=_intake_of(app),
        counters=services(app).counters,
        trusted_proxies=settings.trusted_proxies,
        path_prefix=settings.path_prefix,
        has_access_log=settings.access_log,
        drain_seconds=settings.drain_seconds,
        when_ending=when_ending,
        waits=LongPolls(
            partial(_find_ready, services(app).read),
            long_polls.fit_connections(limits.connections),
            messages=services(app).wake_ups.listener_messages,
        ),
    )


def _intake_of(app: Flask) -> EventIntake:
    settings = services(app).settings
    return EventIntake(
        services(app).group_commit,
        services(app).catalog,
        headers=event_intake.answer_headers(app),
        path_prefix=settings.path_prefix,
        is_behind_proxies=settings.trusted_proxies > 0,
    )


def _find_ready(database: ReadDatabase, sessions: Mapping[str, str]) -> set[str]:
    with database.connect_autocommit() as connection:
        return due_requests.find_ready(connection, sessions, now=clock.now())


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
        counters: ProcessCounters | None = None,
        trusted_proxies: int = 0,
        path_prefix: str = "",
        has_access_log: bool = False,
        drain_seconds: float = 0,
        when_ending: Callable[[], None] = lambda: None,
        waits: LongPolls | None = None,
    ) -> None:
        """On a signal to end, call `when_ending` at once, and go on answering for `drain_seconds`."""
        self._listener = listener
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waits = waits or LongPolls(lambda _: set())
        self._bridge = WsgiBridge(
            app,
            threads=threads,
            queue_seconds=limits.queue_seconds,
            path_prefix=path_prefix,
            waits=self._waits,
        )
        self._deadlines = Connections(limits, counters)
        answering: AsgiCallable = AsgiApp(
            self._bridge, limits, intake, counters, is_behind_proxies=trusted_proxies > 0
        )
        if has_access_log:
            answering = AccessLog(answering, trusted_proxies=trusted_proxies)
        self._uvicorn = DrainingServer(
            config_for(answering, self._deadlines, limits),
            when_ending=when_ending,
            drain=partial(self._drain, drain_seconds),
        )

    async def run(self, when_ready: Callable[[], None]) -> None:
        """Answer requests until `stop`, or a signal where this is the main thread."""
        self._loop = asyncio.get_running_loop()
        watching = asyncio.create_task(self._deadlines.enforce())
        ending = asyncio.create_task(self._release_waiting())
        announcing = asyncio.create_task(self._announce(when_ready))
        try:
            await self._uvicorn.serve(sockets=[self._listener])
        finally:
            for task in (announcing, watching, ending):
                task.cancel()
            self._waits.close()
            if cut_short := self._uvicorn.server_state.tasks:
                await asyncio.wait(cut_short, timeout=_CLEAN_UP_SECONDS)
            self._bridge.close()

    def stop(self) -> None:
        """Have `run` finish the requests under way and return; may be called from any thread."""
        self._uvicorn.should_exit = True

    def end(self) -> None:
        """Have `run` do what it does upon SIGTERM; may be called from any thread once it runs."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._uvicorn.handle_exit, signal.SIGTERM, None)

    def leave(self) -> None:
        """Have `run` accept nothing more, and return once clients have gone or were told to connect anew.

        May be called from any thread.
        """
        if self._loop is None:
            self.stop()
            return
        with suppress(RuntimeError):  # the loop is closed: it has ended already
            self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self._leave()))

    async def _leave(self) -> None:
        await self._turn_away(self._limits.leave_seconds)
        self.stop()

    async def _drain(self, seconds: float) -> None:
        """Go on for `seconds`, so that load balancers notice, and then accept nothing more."""
        self._deadlines.close_after_answers()
        await asyncio.sleep(seconds)
        await self._turn_away(self._limits.end_seconds)

    async def _turn_away(self, seconds: float) -> None:
        """Accept the connections that wait and no more; wait up to `seconds` until clients have gone.

        Each answer tells its client to connect anew. A connection that is closed without such a word may be
        in use already, and its request lost: those that are idle get the time to ask once more.
        """
        await self._accept_what_waits()
        for each in self._uvicorn.servers:
            each.close()
        self._deadlines.close_after_answers()
        self._waits.close()
        loop = asyncio.get_running_loop()
        last = loop.time() + seconds
        while self._deadlines.has_connections and loop.time() < last:
            await asyncio.sleep(_LOOK_SECONDS)

    async def _accept_what_waits(self) -> None:
        """Let the loop accept who has connected already: closing the listener would reset those clients."""
        loop = asyncio.get_running_loop()
        last, quiet_steps = loop.time() + self._limits.accept_seconds, 0
        while quiet_steps < _STEPS_TO_ACCEPT and loop.time() < last:
            await asyncio.sleep(0)
            quiet_steps = 0 if has_connections_waiting(self._listener) else quiet_steps + 1

    async def _release_waiting(self) -> None:
        """Answer what waits, once the process was asked to end: its end would wait for that."""
        while not self._uvicorn.should_exit:
            await asyncio.sleep(_RELEASE_SECONDS)
        self._waits.close()

    async def _announce(self, when_ready: Callable[[], None]) -> None:
        while not self._uvicorn.started:
            await asyncio.sleep(0.005)
        self._listener.listen(BACKLOG)  # which uvicorn has set to what it accepts at once
        when_ready()
