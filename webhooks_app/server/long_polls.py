"""Requests that wait until something is due at a listener: held here, where each costs a connection only."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from webhooks_app.db.transient_errors import DATABASE_ERRORS
from webhooks_app.server.wsgi_bridge import LongPoll, Receive
from webhooks_app.web.api.errors import ApiError

# Returns those of the listeners for which it is time to ask again; called in a thread with their ids and, for
# each, the session that waits.
FindReady = Callable[[Mapping[str, str]], set[str]]
_IDLE_SECONDS = "2"
# So many listeners are remembered that were named while nobody waited for them here.
_MOST_REMEMBERED = 1000


class MessageSource(Protocol):
    """Messages about listeners that have something; `is_receiving` is whether they would arrive."""

    is_receiving: bool

    def listen(self, on_message: Callable[[frozenset[str] | None], None], seconds: float, /) -> None:
        """Have `on_message` called in a thread, with ids or with None for any, for so many seconds."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True, frozen=True)
class LongPollLimits:
    """How many may wait in one process, and how often it looks for what is due for all of them together.

    One query looks for all, so its price does not depend on how many wait. It runs every `look_seconds`, or
    every `receiving_seconds` while messages arrive: what they name is noticed at once, and the query is for
    the rest, such as a retry, which falls due by the clock five seconds after its attempt at the earliest, or
    the rest of a large fan-out. While the database does not answer, it runs every `rest_seconds`. One token
    may have `of_token` of the places, one workspace `of_workspace`: as many as its listeners, and as many
    again for connections that broke unnoticed. Messages are read for `linger_seconds` after the last
    wait has ended.
    """

    waiting: int = 500
    of_token: int = 20
    of_workspace: int = 40
    look_seconds: float = 0.25
    receiving_seconds: float = 1.0
    rest_seconds: float = 2.0
    linger_seconds: float = 30.0


DEFAULT_LIMITS = LongPollLimits()


def fit_connections(connections: int) -> LongPollLimits:
    """Return limits that leave half of what connections a process may have to requests that do not wait."""
    return replace(DEFAULT_LIMITS, waiting=min(DEFAULT_LIMITS.waiting, connections // 2))


class LongPolls:
    """One per process. Without `messages` it looks by itself only."""

    def __init__(
        self,
        find_ready: FindReady,
        limits: LongPollLimits = DEFAULT_LIMITS,
        *,
        messages: MessageSource | None = None,
    ) -> None:
        self._find_ready = find_ready
        self._limits = limits
        self._messages = messages
        self._waiting: dict[asyncio.Future[bool], LongPoll] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False
        # Listeners that were named: of those for which somebody waits, and of others.
        self._named: set[str] = set()
        self._named_before: set[str] = set()
        self._is_named = asyncio.Event()

    async def wait(
        self, long_poll: LongPoll, receive: Receive, in_thread: Callable[..., Awaitable[set[str]]]
    ) -> bool:
        """Wait until something is due, and return True; or False once the time is over or the client gone.

        Where too many wait already, return False at once and have the answer say when to ask again. Raises
        ApiError 429 where they are the token's or its workspace's.
        """
        if self._is_closed or len(self._waiting) >= self._limits.waiting:
            long_poll.headers.append((b"retry-after", _IDLE_SECONDS.encode()))
            return False
        self._check_share(long_poll)
        due: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        gone = asyncio.ensure_future(receive())  # after the body, `receive` returns once the client is gone
        self._waiting[due] = long_poll
        try:
            self._listen(long_poll)
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._search(in_thread))
            either: set[asyncio.Future[Any]] = {due, gone}
            await asyncio.wait(either, timeout=long_poll.seconds, return_when=asyncio.FIRST_COMPLETED)
            return due.done() and due.result() and not gone.done()
        finally:
            del self._waiting[due]
            gone.cancel()

    def close(self) -> None:
        """Answer all that wait, and let none wait from now on: the process is about to end."""
        self._is_closed = True
        if self._messages is not None:
            self._messages.close()
        for future in self._waiting:
            if not future.done():
                future.set_result(False)

    def _check_share(self, long_poll: LongPoll) -> None:
        """Raise ApiError where others would find no place for what this token or workspace has waiting."""
        of_token = sum(each.token_id == long_poll.token_id for each in self._waiting.values())
        of_workspace = sum(each.workspace_id == long_poll.workspace_id for each in self._waiting.values())
        if of_token >= self._limits.of_token:
            raise _too_many(f"{of_token} requests of this token")
        if of_workspace >= self._limits.of_workspace:
            raise _too_many(f"{of_workspace} requests of this workspace")

    def _listen(self, long_poll: LongPoll) -> None:
        """Start receiving messages; look again if one named this listener while the application looked."""
        if self._messages is None:
            return
        loop = asyncio.get_running_loop()

        def on_message(named: frozenset[str] | None) -> None:
            with suppress(RuntimeError):  # the loop is closed, at the end of the process
                loop.call_soon_threadsafe(self._note, named)

        self._messages.listen(on_message, long_poll.seconds + self._limits.linger_seconds)
        if long_poll.listener_id in self._named_before:
            self._named_before.discard(long_poll.listener_id)
            self._note(frozenset((long_poll.listener_id,)))

    def _note(self, named: frozenset[str] | None) -> None:
        waited_for = self._waited_for().keys()
        if named is None:
            named = frozenset(waited_for)
        self._named_before |= named - waited_for
        if len(self._named_before) > _MOST_REMEMBERED:
            self._named_before.clear()
        self._named |= named & waited_for
        if self._named:
            self._is_named.set()

    def _waited_for(self) -> dict[str, str]:
        """Return the listeners, each with the session that has waited for it the longest.

        Where another one waits as well, that one has taken over.
        """
        return {each.listener_id: each.session_id for each in reversed(self._waiting.values())}

    async def _search(self, in_thread: Callable[..., Awaitable[set[str]]]) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + self._pause_seconds()
        while self._waiting:
            if await self._is_all_to_look_for(look_at):
                look_at = loop.time() + self._pause_seconds()
                sessions = self._waited_for()
            else:
                sessions = {
                    each: session for each, session in self._waited_for().items() if each in self._named
                }
            self._named.clear()
            self._is_named.clear()
            if not sessions:
                continue
            try:
                due = await in_thread(self._find_ready, sessions)
            except DATABASE_ERRORS:
                look_at = 0.0
                await asyncio.sleep(self._limits.rest_seconds)
                continue
            for future, long_poll in self._waiting.items():
                if long_poll.listener_id in due and not future.done():
                    future.set_result(True)

    async def _is_all_to_look_for(self, look_at: float) -> bool:
        """Wait until some are named or it is time to look for all; return whether it is."""
        if asyncio.get_running_loop().time() >= look_at:  # where some are named all the time, none waits here
            return True
        try:
            async with asyncio.timeout_at(look_at):
                await self._is_named.wait()
        except TimeoutError:
            return True
        return False

    def _pause_seconds(self) -> float:
        is_receiving = self._messages is not None and self._messages.is_receiving
        return self._limits.receiving_seconds if is_receiving else self._limits.look_seconds


def _too_many(whose: str) -> ApiError:
    message = f"{whose} wait already, which is the limit. Ask again once one has been answered."
    return ApiError(429, "too_many_waiting", message, headers={"retry-after": _IDLE_SECONDS})
