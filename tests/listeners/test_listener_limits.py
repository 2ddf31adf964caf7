"""What a token to listen may make of rows: so many names, so many beginnings, so many events of the past."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.conftest import TESTER, Workspace
from tests.reading import json_of
from tests.web.api.conftest import Api, new_api
from tests.web.api.listening import FORWARD_TO, listen
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.extensions import services
from webhooks_app.listeners import ending, listener_limits, listener_sessions, past_events
from webhooks_app.listeners.listener_limits import DEFAULT_LIMITS, ListenerLimits, TooManyListeners, TooOften
from webhooks_app.listeners.listener_sessions import ListenerSession, NewListener

Begin = Callable[..., ListenerSession]


@pytest.fixture
def begin(app: Flask, workspace: Workspace, databases: Databases) -> Begin:
    """Begin a listener and end it at once."""
    tokens = [listen(new_api(workspace), name=f"first-{n}").started["token"]["id"] for n in range(2)]

    def begin(name: str, limits: ListenerLimits, *, token: int = 0) -> ListenerSession:
        wanted = NewListener(name, True, (), 5000, FORWARD_TO)
        found = services(app)
        session = listener_sessions.begin(
            found.write, found.cipher, workspace.id, tokens[token], wanted, limits=limits, actor=TESTER
        )
        ending.end(found.write, session.endpoint_id, actor=TESTER)
        return session

    return begin


def test_a_token_begins_so_many_within_an_hour(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = replace(DEFAULT_LIMITS, begun=4)  # one was begun already
    for _ in range(3):
        begin("laptop", limits)
    with pytest.raises(TooOften) as refused:
        begin("laptop", limits)
    assert 3500 < refused.value.seconds <= 3601
    begin("laptop", limits, token=1)
    later = clock.now() + timedelta(hours=1, seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    begin("laptop", limits)


def test_its_workspace_begins_so_many_with_all_its_tokens(begin: Begin) -> None:
    limits = replace(DEFAULT_LIMITS, all_begun=4)
    begin("laptop", limits)
    begin("laptop", limits, token=1)
    with pytest.raises(TooOften):
        begin("laptop", limits)


def test_a_workspace_has_so_many_names_ended_ones_included(begin: Begin) -> None:
    limits = replace(DEFAULT_LIMITS, all_names=4)
    begin("a", limits)
    begin("b", limits, token=1)
    with pytest.raises(TooManyListeners, match="names of listeners in this workspace"):
        begin("c", limits)
    begin("b", limits, token=1)


def test_the_api_says_when_the_next_may_begin(workspace: Workspace, databases: Databases) -> None:
    api = new_api(workspace)
    token_id = listen(api).started["token"]["id"]
    spend(databases, workspace, token_id, listener_limits.DEFAULT_LIMITS.past, clock.now())
    refused = start(api, since_seconds=60)
    assert (refused.status_code, json_of(refused)["error"]["code"]) == (429, "too_often")
    assert 3500 < int(refused.headers["Retry-After"]) <= 3601
    assert start(api).status_code == 200


def test_added_events_are_counted(workspace: Workspace, databases: Databases) -> None:
    api = new_api(workspace)
    workspace.send(5)
    listening = listen(api)
    past_events.add_past_events(
        databases,
        workspace.id,
        listening.started["id"],
        since=clock.now() - timedelta(hours=1),
        event_types=None,
    )
    token_id = listening.started["token"]["id"]

    def check(limit: int) -> None:
        limits = replace(DEFAULT_LIMITS, past=limit)
        listener_limits.check_past(databases.read, workspace.id, token_id, now=clock.now(), limits=limits)

    check(6)
    with pytest.raises(TooOften):
        check(5)


def spend(databases: Databases, workspace: Workspace, token_id: str, count: int, now: datetime) -> None:
    with databases.write.begin() as connection:
        listener_limits.count_past(connection, workspace.id, token_id, count=count, now=now)


def start(api: Api, **more: object) -> TestResponse:
    return api.call("POST", "/listeners", {"name": "laptop", "forward_to": FORWARD_TO} | more)
