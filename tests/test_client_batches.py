"""The producer client's batches, and what it reads, against the platform's own API."""

import random
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from tests.answering_platform import Clock
from tests.conftest import TESTER, Workspace
from tests.events.test_fan_out_runs import commit_first_piece
from tests.free_ports import free_port
from tests.served_app import served
from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.client import (
    Client,
    Forbidden,
    JsonText,
    KeyReused,
    NewEvent,
    NotFound,
    Rejected,
    Result,
    Unauthorized,
    Unavailable,
    _Batches,
)
from webhooks_app.core import clock
from webhooks_app.db.models import Delivery, DeliveryState, Event
from webhooks_app.events import fan_out_runs
from webhooks_app.events.fan_out import FanOutLimits
from webhooks_app.extensions import db, services

TYPE = "batch-lifecycle"
BAD_DATA = {"batch_id": "b1", "status": 7}
# Fine for Python's parser, and refused by the platform's without a word on which event it is.
LONE_SURROGATE = JsonText('{"batch_id": "b1", "status": "succeeded", "note": "\\ud800"}')


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """SQLite alone: nothing here depends on the database."""
    return sqlite_url


class Counted:
    """The application behind a server, which counts the requests, or answers what a proxy would."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.requests = 0
        self.largest_body = 10**9
        self.on_request: Callable[[], object] = lambda: None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.requests += 1
        self.on_request()
        if int(environ.get("CONTENT_LENGTH") or 0) > self.largest_body:
            start_response("413 Request Entity Too Large", [("Content-Type", "text/html")])
            return [b"<h1>413 Request Entity Too Large</h1>"]
        return self._app(environ, start_response)


@pytest.fixture
def counted(app: Flask) -> Counted:
    return Counted(app)


@pytest.fixture
def url(counted: Counted) -> Iterator[str]:
    with served(counted) as url:
        yield url


@pytest.fixture
def client(url: str, workspace: Workspace) -> Iterator[Client]:
    with Client(url, workspace.token) as client:
        yield client


def new(number: int, data: dict[str, Any] | JsonText | None = None) -> NewEvent:
    data = {"batch_id": f"b{number}", "status": "succeeded"} if data is None else data
    return NewEvent(TYPE, data, f"key-{number}")


def stored_keys() -> list[str]:
    db.session.rollback()
    return sorted(row.idempotency_key for row in db.session.query(Event.idempotency_key))


def accepted(results: list[Result]) -> list[str]:
    return sorted(each.idempotency_key for each in results if each.sent)


def end_with(delivery_id: str, state: str) -> None:
    with services().write.begin() as connection:
        changed = update(Delivery).where(Delivery.id == delivery_id)
        connection.execute(changed.values(state=DeliveryState(state), next_attempt_at=None))


def refused(results: list[Result]) -> dict[str, Rejected]:
    return {each.idempotency_key: each.error for each in results if isinstance(each.error, Rejected)}


def test_many_events_go_in_one_request(client: Client, counted: Counted) -> None:
    results = client.send_many(new(number) for number in range(50))
    assert counted.requests == 1
    assert [each.idempotency_key for each in results] == [f"key-{number}" for number in range(50)]
    assert accepted(results) == stored_keys()
    assert {each.sent.is_repeat for each in results if each.sent} == {False}


def test_nothing_to_send_takes_no_request(client: Client, counted: Counted) -> None:
    assert client.send_many([]) == []
    assert counted.requests == 0


def test_what_is_more_than_the_platform_takes_at_once_is_split(client: Client, counted: Counted) -> None:
    results = client.send_many(new(number) for number in range(1001))
    assert (counted.requests, len(accepted(results))) == (2, 1001)

    large = JsonText('{"batch_id": "b1", "status": "succeeded", "note": "%s"}' % ("x" * 300))
    events = (new(number, large) for number in range(2000, 2006))
    results = _Batches(client, events, None, largest_bytes=1000).send()
    assert (counted.requests, len(accepted(results))) == (2 + 3, 6)


def test_sent_again_they_are_repeats(client: Client) -> None:
    first = client.send_many([new(1), new(2)])
    again = client.send_many([new(2), new(3), new(1)])
    assert [each.sent.is_repeat for each in again if each.sent] == [True, False, True]
    assert again[0].sent == first[1].sent
    assert stored_keys() == ["key-1", "key-2", "key-3"]
    assert client.send(TYPE, {"batch_id": "b1", "status": "succeeded"}, idempotency_key="key-1").is_repeat


def test_a_refused_event_keeps_no_other_from_being_accepted(client: Client, counted: Counted) -> None:
    events = [new(number) for number in range(20)]
    events[3], events[11] = new(3, BAD_DATA), NewEvent("no-such-type", {}, "key-11")
    results = client.send_many(events)
    assert set(refused(results)) == {"key-3", "key-11"}
    assert (refused(results)["key-3"].code, refused(results)["key-3"].field) == (
        "invalid_data",
        "data.status",
    )
    assert (refused(results)["key-11"].code, refused(results)["key-11"].field) == (
        *("unknown_event_type", "type"),
    )
    assert accepted(results) == stored_keys()
    assert len(stored_keys()) == 18
    assert counted.requests < 10


@pytest.mark.parametrize("bad", [BAD_DATA, LONE_SURROGATE], ids=["said-which", "not-said-which"])
@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_however_many_are_refused_the_others_are_accepted_in_bounded_requests(
    client: Client, counted: Counted, bad: Any, share: float
) -> None:
    rng = random.Random(share)
    events = [new(number, bad if rng.random() < share else None) for number in range(100)]
    wrong = {each.idempotency_key for each in events if each.data is bad}
    results = client.send_many(events)
    assert set(refused(results)) == wrong
    assert accepted(results) == stored_keys() == sorted({each.idempotency_key for each in events} - wrong)
    assert counted.requests <= min(10 + 14 * len(wrong), 2 * len(events))


def test_an_event_whose_key_belongs_to_another_is_refused_alone(client: Client) -> None:
    client.send_many([new(1)])
    results = client.send_many([new(0), new(1, {"batch_id": "b1", "status": "failed"}), new(2)])
    assert {key: type(error) for key, error in refused(results).items()} == {"key-1": KeyReused}
    assert stored_keys() == ["key-0", "key-1", "key-2"]


def test_a_proxy_that_takes_less_at_once_gets_smaller_requests(client: Client, counted: Counted) -> None:
    counted.largest_body = 2000
    large = JsonText('{"batch_id": "b1", "status": "succeeded", "note": "%s"}' % ("x" * 3000))
    results = client.send_many([*(new(number) for number in range(60)), new(60, large), new(61)])
    assert {key: error.status for key, error in refused(results).items()} == {"key-60": 413}
    assert len(stored_keys()) == 61


def test_a_token_that_may_not_send_is_no_fault_of_an_event(
    url: str, workspace: Workspace, app: Flask
) -> None:
    reader = api_tokens.create(
        services(app).write, workspace.id, "reader", scopes={TokenScope.EVENTS_READ}, actor=TESTER
    )
    for token, kind in (("tok_unknown", Unauthorized), (reader, Forbidden)):
        with Client(url, token) as client:
            results = client.send_many([new(1), new(2)])
        assert [type(each.error) for each in results] == [kind, kind]
    assert stored_keys() == []


def test_while_the_platform_is_away_nothing_more_is_sent() -> None:
    with Client(f"http://127.0.0.1:{free_port()}", "tok_1") as client:
        results = client.send_many([new(number) for number in range(1500)], deadline_seconds=0.1)
    errors = [each.error for each in results]
    assert len(errors) == 1500
    assert all(isinstance(error, Unavailable) and not error.may_be_accepted for error in errors)


def test_what_the_time_is_over_for_is_not_sent(url: str, workspace: Workspace, counted: Counted) -> None:
    passing = Clock()
    with Client(url, workspace.token, retries=passing.retries) as client:
        in_time = client.send_many([new(number) for number in range(1500)], deadline_seconds=10)
        counted.on_request = lambda: setattr(passing, "seconds", 10.0)
        late = client.send_many([new(number) for number in range(2000, 3500)], deadline_seconds=10)
    assert [each.error for each in in_time] == [None] * 1500
    assert [each.error for each in late[:1000]] == [None] * 1000
    assert {str(each.error) for each in late[1000:]} == {"Not sent: the deadline had passed."}


def test_what_is_not_json_is_refused_before_anything_is_sent(client: Client, counted: Counted) -> None:
    for bad in ({"value": float("nan")}, {"value": "\ud800"}):
        with pytest.raises(ValueError):
            client.send_many([new(1), new(2, bad)])
    with pytest.raises(TypeError):
        client.send_many([new(1), new(2, {"value": object()})])
    with pytest.raises(ValueError, match="idempotency_key"):
        client.send_many([NewEvent(TYPE, {}, "a b")])
    assert counted.requests == 0


@pytest.mark.parametrize("text", ["", "[1]", "7", '{"a": NaN}', '{"a": 1}, {"b": 2}', "[" * 100_000])
def test_text_that_is_no_json_object_is_no_data(text: str) -> None:
    with pytest.raises(ValueError):
        JsonText(text)


def test_numbers_arrive_as_they_are_written(client: Client) -> None:
    data = {"batch_id": "b1", "status": "succeeded", "cost": Decimal("0.10")}
    text = JsonText('{"batch_id": "b1", "status": "succeeded", "cost": 1.100}')
    results = client.send_many([new(1, data), new(2, text)])
    bodies = [bytes(db.session.get_one(Event, each.sent.id).body) for each in results if each.sent]
    assert [body.split(b'"cost":')[1].strip(b" }") for body in bodies] == [b"0.10", b"1.100"]


def test_the_status_of_an_event_is_read(client: Client, workspace: Workspace) -> None:
    endpoint_id = workspace.endpoint("http://127.0.0.1:9/hooks")
    before = clock.now()
    sent = client.send(TYPE, {"batch_id": "b1", "status": "succeeded"})
    status = client.status(sent.id)
    assert (status.id, status.type) == (sent.id, TYPE)
    assert abs((status.accepted_at - before).total_seconds()) < 60
    [delivery] = status.deliveries
    assert (delivery.endpoint_id, delivery.state, delivery.attempts) == (endpoint_id, "pending", 0)
    assert delivery.next_attempt_at is not None
    assert delivery.next_attempt_at.tzinfo is not None


def test_it_is_waited_until_nothing_of_an_event_is_pending(
    url: str, workspace: Workspace, counted: Counted
) -> None:
    for end in ("a", "b"):
        workspace.endpoint(f"http://127.0.0.1:9/{end}")
    passing = Clock(1000.0)
    with Client(url, workspace.token, retries=passing.retries) as client:
        sent = client.send(TYPE, {"batch_id": "b1", "status": "succeeded"})
        first, second = (each.id for each in client.status(sent.id).deliveries)
        passing.events = {
            1002.0: partial(end_with, first, "delivered"),
            1300.0: partial(end_with, second, "held"),
        }
        began, before = passing.now(), counted.requests
        early = client.wait(sent.id, timeout_seconds=10)
        assert (passing.now() - began, early.is_pending) == (10, True)
        late = client.wait(sent.id, timeout_seconds=3600)
    assert 1300 <= passing.now() < 1340
    assert not late.is_pending
    assert {each.id: each.state for each in late.deliveries} == {first: "delivered", second: "held"}
    assert counted.requests - before < 60


def test_deliveries_that_are_still_to_be_inserted_are_waited_for(url: str, workspace: Workspace) -> None:
    for number in range(5):
        workspace.endpoint(f"http://127.0.0.1:9/{number}")
    limits = FanOutLimits(smallest_piece=3, largest_piece=3, pause_seconds=0)
    found = services()
    [event_id], rest = commit_first_piece(workspace, found.write, 1, limits=limits)
    hold_all = partial(db.session.execute, update(Delivery).values(state=DeliveryState.HELD))

    def insert_the_rest() -> None:
        fan_out_runs.insert_rest(found.write, found.wake_ups, rest)
        hold_all()
        db.session.commit()

    hold_all()
    db.session.commit()
    passing = Clock()
    passing.events = {30.0: insert_the_rest}
    with Client(url, workspace.token, retries=passing.retries) as client:
        early = client.wait(event_id, timeout_seconds=10)
        assert (len(early.deliveries), early.deliveries_to_come, early.is_pending) == (3, 2, True)
        late = client.wait(event_id, timeout_seconds=3600)
    assert 30 <= passing.now() < 40
    assert (len(late.deliveries), late.deliveries_to_come, late.is_pending) == (5, 0, False)


def test_what_became_of_an_event_without_subscribers_is_not_waited_for(client: Client) -> None:
    sent = client.send(TYPE, {"batch_id": "b1", "status": "succeeded"})
    assert client.wait(sent.id).deliveries == ()


@pytest.mark.parametrize("key", ["order-17", "a/b?c=d#e", "%2F", "events:send"])
def test_the_status_of_an_event_is_read_by_its_key(client: Client, key: str) -> None:
    sent = client.send(TYPE, {"batch_id": "b1", "status": "succeeded"}, idempotency_key=key)
    assert client.status_by_key(key) == client.status(sent.id)
    [result] = client.send_many([NewEvent(TYPE, {"batch_id": "b2", "status": "queued"}, f"{key}/2")])
    assert result.sent
    assert client.status_by_key(f"{key}/2").id == result.sent.id
    with pytest.raises(NotFound, match="none was accepted"):
        client.status_by_key(f"{key}/3")


@pytest.mark.parametrize("event_id", ["evt_unknown", "../event-types", "a/b?c"])
def test_the_status_of_no_event_is_not_found(client: Client, event_id: str) -> None:
    with pytest.raises(NotFound):
        client.status(event_id)


def test_the_event_types_are_read(client: Client) -> None:
    assert TYPE in client.event_types()
