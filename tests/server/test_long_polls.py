"""Requests that wait for a listener's deliveries, on a server of the product."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.conftest import Workspace
from tests.server.running_server import SECONDS, RunningServer, serving
from tests.waiting import wait_for
from tests.web.api.conftest import new_api
from tests.web.api.listening import Listening, listen
from webhooks_app.extensions import services
from webhooks_app.jobs import redis_connections
from webhooks_app.jobs.listener_messages import ListenerMessages
from webhooks_app.server import web_server
from webhooks_app.server.long_polls import LongPollLimits, LongPolls
from webhooks_app.server.wsgi_bridge import LongPoll

LONGEST = 25
# A server that looks for nothing by itself: what is noticed has been told.
ONLY_TOLD = LongPollLimits(look_seconds=600, receiving_seconds=600)


@pytest.fixture
def listening(workspace: Workspace) -> Listening:
    return listen(new_api(workspace))


@contextmanager
def platform(app: Flask, limits: LongPollLimits | None = None) -> Iterator[tuple[RunningServer, LongPolls]]:
    find_due = partial(web_server._find_ready, services(app).read)
    messages = services(app).wake_ups.listener_messages
    waits = LongPolls(find_due, limits or LongPollLimits(), messages=messages)
    with serving(app, threads=1, waits=waits) as server:
        yield server, waits
    wait_for(lambda: not messages._has_thread)


class Poll(threading.Thread):
    """A request that waits; `answer` is what came of it."""

    def __init__(self, server: RunningServer, listening: Listening, seconds: int = LONGEST) -> None:
        super().__init__(daemon=True)
        self._server, self._listening, self._seconds = server, listening, seconds
        self.status = 0
        self.headers: dict[str, str] = {}
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=2 * LONGEST)
        body = json.dumps({"session": self._listening.started["session"], "wait_seconds": self._seconds})
        headers = {
            "Authorization": f"Bearer {self._listening.api.token}",
            "Content-Type": "application/json",
        }
        connection.request("POST", f"/api/v1{self._listening.path}/claims", body, headers)
        response = connection.getresponse()
        self.status, self.headers = response.status, dict(response.getheaders())
        self.answer = json.loads(response.read())
        connection.close()


def await_waiting(waits: LongPolls, count: int) -> None:
    wait_for(lambda: len(waits._waiting) == count)


def test_a_request_that_waits_hears_of_what_comes_and_holds_no_thread(
    app: Flask, workspace: Workspace, listening: Listening
) -> None:
    with platform(app) as (server, waits):
        began = time.monotonic()
        polls = [Poll(server, listening) for _ in range(3)]
        await_waiting(waits, 3)  # at a server that has one thread
        workspace.send(3)
        for poll in polls:
            poll.join(SECONDS)
        assert time.monotonic() - began < LONGEST
        assert sorted(len(poll.answer["data"]) for poll in polls) == [1, 1, 1]
        assert {poll.status for poll in polls} == {200}
        assert all("X-Wait-For-Listener" not in str(poll.headers).title() for poll in polls)


def test_it_is_answered_with_nothing_once_its_time_is_over(app: Flask, listening: Listening) -> None:
    with platform(app) as (server, waits):
        poll = Poll(server, listening, seconds=1)
        poll.join(SECONDS)
        assert (poll.status, poll.answer["data"]) == (200, [])
        await_waiting(waits, 0)


def test_one_that_goes_away_is_forgotten(app: Flask, workspace: Workspace, listening: Listening) -> None:
    with platform(app) as (server, waits):
        body = json.dumps({"session": listening.started["session"], "wait_seconds": LONGEST}).encode()
        with server.connect() as client:
            client.sendall(
                b"POST /api/v1%b/claims HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (listening.path.encode(), listening.api.token.encode(), len(body), body)
            )
            await_waiting(waits, 1)
        await_waiting(waits, 0)
        workspace.send()
        assert len(listening.claim()) == 1  # nobody took it


def test_the_end_of_the_listener_is_told_at_once(app: Flask, listening: Listening) -> None:
    with platform(app) as (server, waits):
        poll = Poll(server, listening)
        await_waiting(waits, 1)
        listening.end()
        poll.join(SECONDS)
        assert poll.status == 410


def test_the_end_of_the_server_answers_what_waits(app: Flask, listening: Listening) -> None:
    with platform(app) as (server, waits):
        poll = Poll(server, listening)
        await_waiting(waits, 1)
    poll.join(SECONDS)
    assert (poll.status, poll.answer["data"]) == (200, [])


def test_where_too_many_wait_one_is_asked_to_come_later(app: Flask, listening: Listening) -> None:
    with platform(app, LongPollLimits(waiting=1)) as (server, waits):
        Poll(server, listening)
        await_waiting(waits, 1)
        second = Poll(server, listening)
        second.join(SECONDS)
        headers = {name.lower(): value for name, value in second.headers.items()}
        assert (second.status, headers["retry-after"]) == (200, "2")
        listening.end()


def test_a_token_has_a_share_of_the_places_and_leaves_others_theirs(
    app: Flask, workspace: Workspace, listening: Listening, make_workspace: Callable[[str], Workspace]
) -> None:
    strangers = listen(new_api(make_workspace("Other")))
    with platform(app, LongPollLimits(waiting=10, of_token=2)) as (server, waits):
        polls = [Poll(server, listening) for _ in range(2)]
        await_waiting(waits, 2)
        third = Poll(server, listening)
        third.join(SECONDS)
        headers = {name.lower(): value for name, value in third.headers.items()}
        assert (third.status, headers["retry-after"]) == (429, "2")
        assert third.answer["error"]["code"] == "too_many_waiting"
        polls.append(Poll(server, strangers))
        await_waiting(waits, 3)
        listening.end()
        strangers.end()
        for poll in polls:
            poll.join(SECONDS)


def test_a_workspace_has_a_share_whatever_its_tokens_are(
    app: Flask, workspace: Workspace, listening: Listening
) -> None:
    other = listen(new_api(workspace), "second-token")
    with platform(app, LongPollLimits(of_workspace=1)) as (server, waits):
        first = Poll(server, listening)
        await_waiting(waits, 1)
        second = Poll(server, other)
        second.join(SECONDS)
        assert (second.status, second.answer["error"]["code"]) == (429, "too_many_waiting")
        listening.end()
        first.join(SECONDS)


def test_a_database_that_is_away_ends_no_wait(app: Flask, workspace: Workspace, listening: Listening) -> None:
    looks: list[int] = []

    def find_due(find: Callable[..., set[str]], *arguments: Any) -> set[str]:
        looks.append(1)
        if len(looks) == 1:
            raise PoolTimeout
        return find(*arguments)

    find = partial(web_server._find_ready, services(app).read)
    waits = LongPolls(partial(find_due, find), LongPollLimits(rest_seconds=0.1))
    with serving(app, threads=1, waits=waits) as server:
        poll = Poll(server, listening)
        await_waiting(waits, 1)
        wait_for(lambda: bool(looks))
        workspace.send()
        poll.join(SECONDS)
        assert len(poll.answer["data"]) == 1


def test_what_comes_to_a_listener_is_told(app: Flask, workspace: Workspace, listening: Listening) -> None:
    with platform(app, ONLY_TOLD) as (server, waits):
        for count in (1, 2):
            poll = Poll(server, listening)
            await_waiting(waits, 1)
            wait_for(lambda: services(app).wake_ups.listener_messages.is_receiving)
            workspace.send(count)
            poll.join(SECONDS)
            assert len(poll.answer["data"]) == 1
            for request in [*poll.answer["data"], *listening.claim()]:
                listening.report(request)


def test_a_replay_is_told_too(app: Flask, workspace: Workspace, listening: Listening) -> None:
    workspace.send()
    [request] = listening.claim()
    listening.report(request)
    with platform(app, ONLY_TOLD) as (server, waits):
        poll = Poll(server, listening)
        await_waiting(waits, 1)
        wait_for(lambda: services(app).wake_ups.listener_messages.is_receiving)
        api = new_api(workspace)
        assert api.call("POST", f"/deliveries/{request['delivery_id']}/replay").status_code < 300
        poll.join(SECONDS)
        assert [each["delivery_id"] for each in poll.answer["data"]] == [request["delivery_id"]]


class Word:
    """News of which a test decides what it says."""

    is_receiving = True

    def __init__(self) -> None:
        self.says: Callable[[frozenset[str] | None], None] = lambda _: None

    def listen(self, hear: Callable[[frozenset[str] | None], None], _seconds: float) -> None:
        self.says = hear

    def close(self) -> None:
        pass


def test_what_is_told_while_the_application_still_looks_is_looked_for(
    app: Flask, listening: Listening
) -> None:
    word, looks = Word(), list[list[str]]()

    def find_due(listener_ids: Collection[str]) -> set[str]:
        looks.append(list(listener_ids))
        return set(listener_ids) if len(looks) == 3 else set()

    listener_id = listening.started["id"]
    waits = LongPolls(find_due, ONLY_TOLD, messages=word)
    with serving(app, threads=1, waits=waits) as server:
        Poll(server, listening, seconds=1).join(SECONDS)
        await_waiting(waits, 0)
        word.says(frozenset({listener_id, "another"}))
        wait_for(lambda: waits._named_before == {listener_id, "another"})
        poll = Poll(server, listening)
        wait_for(lambda: looks == [[listener_id]])  # once, although nobody has named it since
        word.says(frozenset({"another"}))
        word.says(frozenset({listener_id}))
        wait_for(lambda: looks == [[listener_id]] * 2)
        word.says(None)  # any may have something
        poll.join(SECONDS)
        assert looks == [[listener_id]] * 3


def test_steady_word_of_one_keeps_no_other_from_being_looked_for(
    app: Flask, listening: Listening, make_workspace: Callable[[str], Workspace]
) -> None:
    other = listen(new_api(make_workspace("Other")))
    named = listening.started["id"]
    word, is_steady, looks = Word(), threading.Event(), list[int]()

    def find_due(listener_ids: Collection[str]) -> set[str]:
        if is_steady.is_set():
            looks.append(len(listener_ids))
            word.says(frozenset({named}))  # before this look is over
        return set()

    waits = LongPolls(find_due, LongPollLimits(receiving_seconds=1.0), messages=word)
    with serving(app, threads=1, waits=waits) as server:
        polls = [Poll(server, each) for each in (listening, other)]
        await_waiting(waits, 2)
        is_steady.set()
        word.says(frozenset({named}))
        wait_for(lambda: 2 in looks[2:])  # the first of them may have begun before
    for poll in polls:
        poll.join(SECONDS)


def test_without_redis_it_looks_as_often_as_before(
    app: Flask, workspace: Workspace, listening: Listening
) -> None:
    messages = ListenerMessages(redis_connections.connect("redis://127.0.0.1:1/0", timeout_seconds=1))
    find_due = partial(web_server._find_ready, services(app).read)
    waits = LongPolls(find_due, LongPollLimits(receiving_seconds=600), messages=messages)
    with serving(app, threads=1, waits=waits) as server:
        poll = Poll(server, listening)
        await_waiting(waits, 1)
        workspace.send()
        poll.join(SECONDS)
        assert len(poll.answer["data"]) == 1
    wait_for(lambda: not messages._has_thread)


def test_a_program_from_which_another_takes_over_is_told(app: Flask, listening: Listening) -> None:
    with platform(app, ONLY_TOLD) as (server, waits):
        first = Poll(server, listening)
        await_waiting(waits, 1)
        wait_for(lambda: services(app).wake_ups.listener_messages.is_receiving)
        taker = listen(listening.api)
        first.join(SECONDS)
        assert (first.status, first.answer["error"]["code"]) == (409, "listener_taken_over")
        second = Poll(server, taker)
        await_waiting(waits, 1)
        taker.end()
        second.join(SECONDS)
        assert second.status == 410


def test_where_both_programs_wait_the_one_before_is_told(app: Flask, listening: Listening) -> None:
    with platform(app, LongPollLimits(look_seconds=1.0)) as (server, waits):
        first = Poll(server, listening)
        await_waiting(waits, 1)
        taker = listen(listening.api)
        Poll(server, taker)
        first.join(SECONDS)
        assert (first.status, first.answer["error"]["code"]) == (409, "listener_taken_over")
        taker.end()


class Mute(Word):
    """News that cannot be had."""

    def listen(self, hear: Callable[[frozenset[str] | None], None], _seconds: float) -> None:
        raise RuntimeError("unforeseen")


def test_one_that_cannot_wait_takes_no_place() -> None:
    waits = LongPolls(lambda _: set(), messages=Mute())

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def in_thread(*_: object) -> set[str]:
        return set()

    async def wait() -> None:
        with pytest.raises(RuntimeError, match="unforeseen"):
            await waits.wait(LongPoll("ep_1", LONGEST, "ws_1", "tok_1", "lss_1"), receive, in_thread)

    asyncio.run(wait())
    assert waits._waiting == {}


def test_word_that_comes_after_the_end_of_the_server_is_no_error(app: Flask, listening: Listening) -> None:
    word = Word()
    with serving(app, threads=1, waits=LongPolls(lambda _: set(), ONLY_TOLD, messages=word)) as server:
        Poll(server, listening, seconds=1).join(SECONDS)
    word.says(None)
    server.server.leave()  # nor is a request to leave
