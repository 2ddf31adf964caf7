"""Requests that wait until something is due at a listener: held here, where each costs a connection only."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from webhooks_app.db.transient_errors import DATABASE_ERRORS
from webhooks_app.server.wsgi_bridge import Hold, Receive
from webhooks_app.web.api.errors import ApiError

log = logging.getLogger(__name__)

# Returns those of the listeners for which it is time to ask again; called in a thread.
FindDue = Callable[[Collection[str]], set[str]]
_IDLE_SECONDS = "2"


@dataclass(slots=True, frozen=True)
class LongPollLimits:
    """How many may wait in one process, and how often it looks for what came for all of them together.

    One query looks for all, so its price does not depend on how many wait; `look_seconds` is how late what
    came is noticed at most. While the database does not answer, it looks each `rest_seconds`. One token has
    `of_token` of the places, one workspace `of_workspace`: what it has listeners for, and as many again for
    connections that broke unnoticed.
    """

    waiting: int = 100
    of_token: int = 20
    of_workspace: int = 40
    look_seconds: float = 0.25
    rest_seconds: float = 2.0


DEFAULT_LIMITS = LongPollLimits()


class LongPolls:
    """One per process."""

    def __init__(self, find_due: FindDue, limits: LongPollLimits = DEFAULT_LIMITS) -> None:
        self._find_due = find_due
        self._limits = limits
        self._waiting: dict[asyncio.Future[bool], Hold] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    async def wait(self, hold: Hold, receive: Receive, in_thread: Callable[..., Awaitable[set[str]]]) -> bool:
        """Wait until something is due, and return True; or False once the time is over or the client gone.

        Where too many wait already, return False at once and have the answer say when to ask again. Raises
        ApiError 429 where they are the token's or its workspace's.
        """
        if self._is_closed or len(self._waiting) >= self._limits.waiting:
            hold.headers.append((b"retry-after", _IDLE_SECONDS.encode()))
            return False
        self._check_share(hold)
        due: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        gone = asyncio.ensure_future(receive())  # behind its body, a client says nothing until it is gone
        self._waiting[due] = hold
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(in_thread))
        try:
            either: set[asyncio.Future[Any]] = {due, gone}
            await asyncio.wait(either, timeout=hold.seconds, return_when=asyncio.FIRST_COMPLETED)
            return due.done() and due.result() and not gone.done()
        finally:
            del self._waiting[due]
            gone.cancel()

    def close(self) -> None:
        """Answer all that wait, and let none wait from now on: the process is about to end."""
        self._is_closed = True
        for future in self._waiting:
            if not future.done():
                future.set_result(False)

    def _check_share(self, hold: Hold) -> None:
        """Raise ApiError where others would find no place for what this token or workspace has waiting."""
        of_token = sum(each.token_id == hold.token_id for each in self._waiting.values())
        of_workspace = sum(each.workspace_id == hold.workspace_id for each in self._waiting.values())
        if of_token >= self._limits.of_token:
            raise _too_many(f"{of_token} requests of this token")
        if of_workspace >= self._limits.of_workspace:
            raise _too_many(f"{of_workspace} requests of this workspace")

    async def _look(self, in_thread: Callable[..., Awaitable[set[str]]]) -> None:
        while self._waiting:
            await asyncio.sleep(self._limits.look_seconds)
            try:
                listeners = sorted({each.listener_id for each in self._waiting.values()})
                due = await in_thread(self._find_due, listeners)
            except DATABASE_ERRORS:
                await asyncio.sleep(self._limits.rest_seconds)
                continue
            for future, hold in self._waiting.items():
                if hold.listener_id in due and not future.done():
                    future.set_result(True)


def _too_many(whose: str) -> ApiError:
    message = f"{whose} wait already, as many as may. Ask again when one of them was answered."
    return ApiError(429, "too_many_waiting", message, headers={"retry-after": _IDLE_SECONDS})
