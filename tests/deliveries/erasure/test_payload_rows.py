"""Which payloads may be erased, to the moment, and which are said to be gone."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.conftest import Workspace
from tests.db.postgresql_roles import url_of_one_who_owns_nothing
from tests.deliveries.test_payload_retention import URL, deliver, upgrading
from tests.patience import PATIENT_LIMITS
from webhooks_app.core import clock
from webhooks_app.db import engines, event_payloads
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Attempt, Delivery, Event
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.extensions import db

A_MOMENT = timedelta(microseconds=1)


def test_nothing_is_erased_until_the_moment_at_which_an_upgrade_is_over(
    database: WriteDatabase, databases: Databases
) -> None:
    now = clock.now()
    assert payload_rows.erasure_blocked_until(databases.read, now=now) is None
    upgrading(database, until=now)
    assert payload_rows.erasure_blocked_until(databases.read, now=now - A_MOMENT) == now
    assert payload_rows.erasure_blocked_until(databases.read, now=now) is None


def test_an_event_is_unfinished_while_something_is_to_be_sent_or_was_until_lately(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(URL)
    [sent] = workspace.send()
    deliver(database, endpoint_id)
    [pending] = workspace.send()
    db.session.rollback()
    finished_at = db.session.scalars(select(Delivery.finished_at).where(Delivery.event_id == sent)).one()
    assert finished_at is not None
    db.session.rollback()
    both = [sent, pending]
    with database.begin() as connection:
        unfinished = payload_rows.unfinished
        assert unfinished(connection, both) == {pending}
        assert unfinished(connection, both, finished_before=finished_at) == {pending}
        assert unfinished(connection, both, finished_before=finished_at - A_MOMENT) == {sent, pending}
        assert unfinished(connection, []) == set()


def test_when_a_payload_was_erased_stays_as_it_is(workspace: Workspace, database: WriteDatabase) -> None:
    erased, kept = both = workspace.send(2)
    db.session.rollback()
    first, later = clock.now(), clock.now() + timedelta(hours=1)
    with database.begin() as connection:
        payload_rows.erase_bodies(connection, [erased], now=first)
        finish = partial(payload_rows.erase_finished, connection, finished_before=later, now=later)
        assert (finish(both), finish(both)) == (1, 0)
        found = connection.execute(select(Event.id, Event.payload_erased_at)).all()
    assert {row.id: row.payload_erased_at for row in found} == {erased: first, kept: later}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_statistics_that_may_not_be_made_anew_are_logged_with_advice_for_doctor(
    workspace: Workspace, database: WriteDatabase, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.send(2)
    db.session.rollback()
    assert payload_rows.forget_samples(database)
    assert not caplog.records
    with database.begin() as connection:
        assert payload_rows.samples_advice(connection) is None
    with url_of_one_who_owns_nothing(database_url) as url:
        engine = engines.open_engine(url, waits_for_disk=True, limits=PATIENT_LIMITS)
        by_other = engines.databases_of(engine).write
        assert not payload_rows.forget_samples(by_other)
        with by_other.begin() as connection:
            assert "may not ANALYZE the table events" in str(payload_rows.samples_advice(connection))
        engine.dispose()
    assert [(each.message, vars(each)["cause"]) for each in caplog.records] == [
        ("statistics_not_sampled", "not_permitted")
    ]


def test_deliveries_without_their_payload_are_counted(workspace: Workspace, database: WriteDatabase) -> None:
    for _ in range(2):
        workspace.endpoint(URL)
    erased, kept = workspace.send(2)
    db.session.rollback()
    by_event = select(Delivery.id).where(Delivery.event_id.in_([erased, kept]))
    with database.begin() as connection:
        delivery_ids = list(connection.scalars(by_event))
        assert event_payloads.lock_unerased(connection, [kept, erased]) == [erased, kept]
        assert payload_rows.count_erased(connection, delivery_ids) == 0
        payload_rows.erase_bodies(connection, [erased], now=clock.now())
        assert event_payloads.lock_unerased(connection, [kept, erased]) == [kept]
        assert payload_rows.count_erased(connection, delivery_ids) == 2
        assert payload_rows.count_erased(connection, []) == 0
    db.session.rollback()
    assert db.session.scalars(select(Event.payload_erased_at).where(Event.id == kept)).one() is None


@pytest.mark.parametrize(
    ("content", "is_erased"),
    [
        ({}, False),
        ({"plain_request_headers": '[["a","b"]]'}, True),
        ({"plain_response_headers": b"HTTP/1.1 200 OK"}, True),
        ({"packed_heads": b"x"}, True),
        ({"response_body": b"x"}, True),
        ({"detail": "what a server said", "outcome": "http_5xx"}, True),
        ({"detail": "The host did not answer.", "outcome": "timeout"}, False),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else None,
)
def test_whatever_an_attempt_has_of_a_payload_is_erased(
    workspace: Workspace, database: WriteDatabase, content: dict[str, Any], is_erased: bool
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    deliver(database, endpoint_id)
    nothing: dict[str, Any] = {"plain_request_headers": "[]", "plain_response_headers": None}
    nothing |= {"packed_heads": None, "response_body": None, "detail": None, "outcome": "success"}
    with database.begin() as connection:
        connection.execute(update(Attempt).values(nothing | content))
        delivery_ids = connection.scalars(select(Attempt.delivery_id)).all()
        assert payload_rows.erase_attempts(connection, delivery_ids) == int(is_erased)
        left = connection.execute(select(*(getattr(Attempt, name) for name in nothing))).one()
    kept = nothing | {name: content[name] for name in ("outcome", "detail") if name in content}
    assert list(left) == list((kept | {"detail": None} if is_erased else kept).values())
