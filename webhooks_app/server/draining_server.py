"""uvicorn, as the web has it: how it is configured, and how it ends."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from webhooks_app.server.access_log import AsgiCallable
from webhooks_app.server.connections import Connections
from webhooks_app.server.server_limits import ServerLimits

# asyncio accepts as many connections as the backlog has before it looks at the first of them, and writes a
# traceback for each that it has no descriptor for.
_ACCEPTED_AT_ONCE = 16


class DrainingServer(uvicorn.Server):
    """uvicorn, which drains after the first signal to end, and ends at once after a second."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        when_ending: Callable[[], None],
        drain: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(config)
        self._when_ending = when_ending
        self._drain = drain
        self._draining: asyncio.Task[None] | None = None
        self._is_draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Called by uvicorn as the signals' handler, so in the loop's thread, but between any two steps of it.
        if self._is_draining or not self.started:
            super().handle_exit(sig, frame)
            return
        self._is_draining = True
        self._when_ending()
        end = partial(super().handle_exit, sig, frame)
        asyncio.get_running_loop().call_soon_threadsafe(self._begin_to_drain, end)

    def _begin_to_drain(self, end: Callable[[], None]) -> None:
        self._draining = asyncio.ensure_future(self._drain())
        self._draining.add_done_callback(lambda _: end())


def config_for(app: AsgiCallable, deadlines: Connections, limits: ServerLimits) -> uvicorn.Config:
    """Return what uvicorn runs by: with our protocol, and without logs or headers of its own."""
    protocol: Any = deadlines.protocol()
    return uvicorn.Config(
        app,
        interface="asgi3",
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # malformed requests are the client's errors
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=limits.stop_seconds,
        backlog=_ACCEPTED_AT_ONCE,
    )
