"""Accepting events: stored once with their deliveries, whatever is handed over again."""

import hashlib
import json
from dataclasses import replace

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from tests.accepting import accept_events
from tests.conftest import TESTER, Workspace
from webhooks_app.core import clock, ids, json_parsing
from webhooks_app.db import event_inserts
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, Event, PendingDelivery
from webhooks_app.endpoints import actions
from webhooks_app.events import accept, request_hash
from webhooks_app.events.accept import event_rows
from webhooks_app.events.submissions import KeyReused, NewEvent, Submission
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps

DATA = {"batch_id": "b1", "status": "succeeded"}
EVENT = NewEvent.of("batch-lifecycle", DATA)


def count(model: type[Event] | type[Delivery] | type[PendingDelivery]) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_a_repeat_under_a_key_returns_the_earlier_event_and_its_deliveries(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.endpoint("https://b.example.com/")

    first, second = (
        accept_events(database, wake_ups, workspace.id, [EVENT], idempotency_key="key") for _ in range(2)
    )

    assert first == second
    assert first[0].deliveries == 2
    assert (count(Event), count(Delivery)) == (1, 2)


@pytest.mark.parametrize(
    "other", [NewEvent.of("batch-request", DATA), NewEvent.of("batch-lifecycle", DATA | {"batch_id": "b2"})]
)
def test_a_key_goes_with_one_type_and_one_data(
    other: NewEvent, workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    accept_events(database, wake_ups, workspace.id, [EVENT], idempotency_key="key")

    with pytest.raises(KeyReused):
        accept_events(database, wake_ups, workspace.id, [other], idempotency_key="key")
    assert count(Event) == 1


def test_the_order_of_its_fields_makes_no_other_event(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    turned = NewEvent.of(EVENT.type, dict(reversed(DATA.items())))

    first, second = (
        accept_events(database, wake_ups, workspace.id, [each], idempotency_key="key")
        for each in (EVENT, turned)
    )
    assert first == second


PRECISE = b'{"batch_id":"b1","status":"succeeded","extra":%b}'


def precise(number: bytes) -> NewEvent:
    raw = PRECISE % number
    return NewEvent("batch-lifecycle", json_parsing.parse(raw), raw)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"3.14159265358979323846", b"3.14159265358979323847"),
        (b"1e-400", b"2e-400"),
        (b"[1, 0.1000000000000000000001]", b"[1, 0.1]"),
        (b"[1, 0.1]", b"[1, 0.1000000000000000000001]"),
        (b"0.1", b"0.1000000000000000055511151231257827"),  # what the float is
        (b"1", b"1.00000000000000000001"),
        (b"0.0", b"1e-400"),
        (b"1e22", b"1.00000000000000000000001e22"),
        (b'"1.5"', b"1.5"),
    ],
)
def test_a_key_goes_with_one_number_to_the_last_digit(
    first: bytes, second: bytes, workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    accept_events(database, wake_ups, workspace.id, [precise(first)], idempotency_key="key")

    with pytest.raises(KeyReused):
        accept_events(database, wake_ups, workspace.id, [precise(second)], idempotency_key="key")
    assert count(Event) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"3.14159265358979323846", b" 3.14159265358979323846\n"),
        (b"1.50", b"1.5"),
        (b"15e-1", b"0.15E+1"),
        (b"0.0", b"0e5"),
        (b'"a.e 1.5"', b' "a.e 1.5"'),
        (b"1e-99999999999999999999999", b" 1e-99999999999999999999999"),
    ],
)
def test_the_same_data_written_in_another_way_is_the_same_event(
    first: bytes, second: bytes, workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    earlier, later = (
        accept_events(database, wake_ups, workspace.id, [precise(each)], idempotency_key="key")
        for each in (first, second)
    )

    assert earlier == later


def store(database: WriteDatabase, workspace: Workspace, event: NewEvent, request_hash: str) -> str:
    """Store an event under the key as an earlier version did, and return its id."""
    now = clock.now()
    [row] = event_rows(Submission(workspace.id, [event], "key"), now)
    row = row._replace(request_hash=request_hash)
    with database.begin() as connection:
        event_inserts.insert(connection, [row], now=now)
    return row.id


def hash_of_floats(event: NewEvent) -> str:
    """The hash that the first version stored and compares with."""
    data = json.loads(event.raw_data)
    return hashlib.sha256(json.dumps([event.type, data], sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("number", [b"19.99", b"1.0", b"1e-3", b"12345678901234567890123", b"-0.0"])
def test_a_row_from_before_numbers_were_kept_answers_the_same_request(
    number: bytes, workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    event = precise(number)
    # As the first version wrote it: data and hash both passed through floats.
    through_floats = NewEvent.of(event.type, json.loads(event.raw_data))
    earlier_id = store(database, workspace, through_floats, hash_of_floats(event))

    [accepted] = accept_events(database, wake_ups, workspace.id, [event], idempotency_key="key")

    assert accepted.id == earlier_id


def test_what_was_cut_to_a_float_cannot_be_told_from_another_number(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    event = precise(b"3.14159265358979323846")
    store(database, workspace, NewEvent.of(event.type, json.loads(event.raw_data)), hash_of_floats(event))

    with pytest.raises(KeyReused):
        accept_events(database, wake_ups, workspace.id, [event], idempotency_key="key")


@pytest.mark.parametrize("number", [b"3.14159265358979323846", b"19.99", b"1e-400"])
def test_a_row_with_a_hash_of_what_was_written_answers_the_same_request(
    number: bytes, workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    event = precise(number)
    written = request_hash.exact_hash(event.type, event.data, event.raw_data)
    earlier_id = store(database, workspace, event, written)

    [accepted] = accept_events(database, wake_ups, workspace.id, [event], idempotency_key="key")

    assert accepted.id == earlier_id


@pytest.mark.parametrize("number", [b"3.14159265358979323846", b"19.99", b"1e-400", b"7"])
def test_an_older_process_knows_a_new_event_again(
    number: bytes, workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    event = precise(number)
    accept_events(database, wake_ups, workspace.id, [event], idempotency_key="key")

    assert db.session.scalars(select(Event.request_hash)).one() == hash_of_floats(event)


def test_what_comes_for_a_disabled_endpoint_is_held_and_not_queued(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint("https://a.example.com/"))
    actions.disable(database, endpoint, actor=TESTER)

    [accepted] = accept_events(database, wake_ups, workspace.id, [EVENT])

    assert accepted.deliveries == 1
    db.session.rollback()
    assert db.session.scalars(select(Delivery.state)).all() == [DeliveryState.HELD]
    assert count(PendingDelivery) == 0


def test_each_endpoint_gets_the_types_that_it_subscribes_to(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    chosen = {
        workspace.endpoint("https://a.example.com/", all_events=False, event_types=("batch-lifecycle",)): 1,
        workspace.endpoint("https://b.example.com/", all_events=False, event_types=("batch-request",)): 1,
        workspace.endpoint("https://c.example.com/", all_events=False, event_types=()): 0,
        workspace.endpoint("https://d.example.com/"): 2,
    }

    events = [EVENT, NewEvent.of("batch-request", DATA)]
    accepted = accept_events(database, wake_ups, workspace.id, events)

    assert [each.deliveries for each in accepted] == [2, 2]
    db.session.rollback()
    rows = db.session.execute(select(Delivery.endpoint_id, Delivery.event_type)).all()
    assert {name: sum(row.endpoint_id == name for row in rows) for name in chosen} == chosen
    first, second, _, _ = chosen
    assert {row.event_type for row in rows if row.endpoint_id == first} == {"batch-lifecycle"}
    assert {row.event_type for row in rows if row.endpoint_id == second} == {"batch-request"}


@pytest.mark.parametrize("has_endpoint", [False, True])
def test_a_worker_is_woken_for_what_is_due(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, has_endpoint: bool
) -> None:
    if has_endpoint:
        workspace.endpoint("https://a.example.com/")
    wake_ups.start_run()

    accept_events(database, wake_ups, workspace.id, [EVENT])

    assert (wake_ups.take_request() is not None) is has_endpoint


def test_a_queued_delivery_was_neither_claimed_nor_tried(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    workspace.endpoint("https://a.example.com/")
    accept_events(database, wake_ups, workspace.id, [EVENT])

    db.session.rollback()
    queued = db.session.scalars(select(PendingDelivery)).one()
    assert (queued.generation, queued.attempts_in_schedule, queued.expired_leases) == (0, 0, 0)
    assert queued.claimed_at is None
    delivery = db.session.scalars(select(Delivery)).one()
    assert (queued.delivery_id, queued.event_id) == (delivery.id, delivery.event_id)
    assert queued.next_attempt_at == delivery.next_attempt_at


def test_the_body_says_what_happened_when_and_where(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    [accepted] = accept_events(database, wake_ups, workspace.id, [EVENT])

    db.session.rollback()
    event = db.session.scalars(select(Event)).one()
    assert json.loads(event.body) == {
        "id": accepted.id,
        "type": "batch-lifecycle",
        "timestamp": clock.format_rfc3339(event.created_at),
        "workspace_id": workspace.id,
        "data": DATA,
    }


def test_nothing_handed_over_is_nothing_accepted(database: WriteDatabase, wake_ups: WakeUps) -> None:
    assert accept.commit(database, wake_ups, [], handle_rest=lambda _: None) == []


def test_what_this_process_writes_is_json_without_space_or_escapes() -> None:
    assert NewEvent.of("batch-lifecycle", {"a": "é", "b": [1, 2]}).raw_data == '{"a":"é","b":[1,2]}'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        NewEvent.of("batch-lifecycle", {"a": float("nan")})


def test_only_an_event_under_a_key_has_a_hash() -> None:
    plain, under_key = (event_rows(Submission("ws_1", [EVENT], key), clock.now())[0] for key in (None, "key"))
    assert (plain.idempotency_key, plain.request_hash) == (None, None)
    assert under_key.idempotency_key == "key"
    assert under_key.request_hash is not None and len(under_key.request_hash) == 64
    assert ids.is_id("evt", plain.id) and ids.is_id("evt", under_key.id)


@pytest.mark.parametrize("count_of_others", [0, 1, 2])
def test_an_event_that_no_column_takes_is_refused_and_no_other(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, count_of_others: int
) -> None:
    # PostgreSQL takes no NUL in a text, and SQLite no lone surrogate.
    refused = Submission(workspace.id, [NewEvent("batch\0lifecycle\ud800", {}, b"{}")])
    others = [Submission(workspace.id, [EVENT])] * count_of_others

    outcome, *accepted = accept.commit(database, wake_ups, [refused, *others], handle_rest=lambda _: None)

    assert isinstance(outcome, (DBAPIError, UnicodeError))
    assert not any(isinstance(each, Exception) for each in accepted)
    assert len(accepted) == count(Event) == count_of_others


def test_an_event_of_a_batch_has_its_own_key() -> None:
    keyed = replace(EVENT, idempotency_key="own")
    rows = event_rows(Submission("ws_1", [keyed, EVENT]), clock.now())
    assert [row.idempotency_key for row in rows] == ["own", None]
    assert [row.request_hash is None for row in rows] == [False, True]
