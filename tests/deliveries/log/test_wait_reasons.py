"""What a delivery waits for that is due: a pause, a rate limit, those before it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update

from tests.conftest import Workspace
from tests.worker.attempted import LEASE, claim
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, Endpoint, EndpointHealth, PendingDelivery, ProcessReport
from webhooks_app.deliveries.log.rows import DeliveryRow, read_rows
from webhooks_app.deliveries.log.status_explanations import explain
from webhooks_app.deliveries.log.wait_reasons import COUNTED_AHEAD, Wait, paused_until
from webhooks_app.endpoints import waiting_counts
from webhooks_app.extensions import db

NOW = datetime(2025, 1, 2, tzinfo=UTC)
URL = "https://a.example.com/"


@pytest.fixture
def endpoint_id(workspace: Workspace) -> str:
    return workspace.endpoint(URL)


def rows(workspace: Workspace) -> list[DeliveryRow]:
    """All deliveries, in the order of their ids."""
    db.session.rollback()
    found = list(db.session.scalars(select(Delivery.id).order_by(Delivery.id)))
    return read_rows(db.session(), workspace.id, found)


def waits(workspace: Workspace) -> list[Wait | None]:
    return [row.wait for row in rows(workspace)]


def ahead(workspace: Workspace) -> list[int | None]:
    return [wait.ahead if wait else None for wait in waits(workspace)]


def text(row: DeliveryRow, *, later: timedelta = timedelta()) -> str:
    return explain(row, schedule_length=10, now=clock.now() + later).text


def test_those_of_the_same_endpoint_that_are_due_before_are_ahead(
    workspace: Workspace, endpoint_id: str
) -> None:
    workspace.send(3)
    assert ahead(workspace) == [0, 1, 2]
    [first, second, third] = rows(workspace)
    assert text(first) == "It starts at any moment."
    assert text(second) == "1 delivery to this endpoint goes first."
    assert text(third) == "2 deliveries to this endpoint go first."
    assert text(third, later=timedelta(minutes=3)).endswith(
        "It is overdue by 3 min: the endpoint cannot take more at a time, or no worker is running."
    )


def test_another_endpoints_deliveries_are_not_ahead(workspace: Workspace, endpoint_id: str) -> None:
    workspace.endpoint(URL, name="Another")
    workspace.send()
    assert ahead(workspace) == [0, 0]


def test_those_ahead_are_counted_no_further_than_matters(workspace: Workspace, endpoint_id: str) -> None:
    workspace.send(COUNTED_AHEAD + 2)
    counts = ahead(workspace)
    assert counts[:22] == [*range(21), 20]
    assert counts[120:130] == [120] * 10
    assert counts[-2:] == [COUNTED_AHEAD] * 2
    assert text(rows(workspace)[125]).startswith("About 120 deliveries")
    assert text(rows(workspace)[-1]).startswith("250 or more deliveries")


def test_a_row_is_drawn_anew_when_fewer_are_ahead(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send(2)
    before = rows(workspace)[1].version
    assert rows(workspace)[1].version == before
    claim(database)
    assert rows(workspace)[1].version != before
    assert re.fullmatch("[a-z0-9-]+", before)


def test_what_is_being_sent_waits_for_nothing(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send(2)
    claim(database)
    assert ahead(workspace) == [None, 0]


def test_what_is_due_later_waits_for_that_alone(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send()
    later = clock.now() + timedelta(hours=1)
    with database.begin() as connection:
        connection.execute(update(Delivery).values(next_attempt_at=later))
        connection.execute(update(PendingDelivery).values(next_attempt_at=later))
    assert waits(workspace) == [None]


def test_a_rate_limit_is_named_with_the_time_it_takes(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send(9)
    with database.begin() as connection:
        connection.execute(update(Endpoint).values(rate_per_second=2))
        connection.execute(update(EndpointHealth).values(rate_free_at=clock.now() + timedelta(seconds=0.5)))
    assert text(rows(workspace)[8]) == (
        "8 deliveries to this endpoint go first, at its rate limit of 2 a second: 4 s at least."
    )
    assert text(rows(workspace)[8], later=timedelta(hours=3)).endswith("It has been due for 180 min.")


@pytest.mark.parametrize("rate", [None, 2])
def test_a_pause_that_the_endpoint_asked_for_is_named(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, rate: int | None
) -> None:
    workspace.send()
    until = clock.now() + timedelta(seconds=50)
    with database.begin() as connection:
        connection.execute(update(Endpoint).values(rate_per_second=rate))
        connection.execute(update(EndpointHealth).values(rate_free_at=until))
    [row] = rows(workspace)
    assert row.wait and row.wait.paused_until == until
    assert "asked for a pause (Retry-After): nothing is sent to it for another" in text(row)


@pytest.mark.parametrize(
    ("seconds", "rate", "is_paused"),
    [
        (-1, None, False),
        (1, None, True),
        (91, None, False),
        (0.5, 2, False),
        (0.6, 2, True),
        (0.09, 100, False),
    ],
)
def test_a_pause_is_told_from_a_rate_limit(seconds: float, rate: int | None, is_paused: bool) -> None:
    free_at = NOW + timedelta(seconds=seconds)
    assert paused_until(free_at, rate, now=NOW) == (free_at if is_paused else None)


def test_a_full_window_is_told_with_how_many_are_under_way(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send()
    now = clock.now()
    report = {"kind": "worker", "host": "w", "pid": 1, "version": "1", "started_at": now, "clock_ahead_ms": 0}
    states = [[[endpoint_id, 3, 4]], [[endpoint_id, 1, 1], ["ep_other", 1, 9]]]
    with database.begin() as connection:
        for state in states:
            values = {"id": ids.new("prc"), "reported_at": now, "counters": {}, "state": {"endpoints": state}}
            connection.execute(insert(ProcessReport).values(report | values))
    [row] = rows(workspace)
    assert row.wait
    assert row.wait.concurrency is None  # four of five

    with database.begin() as connection:
        connection.execute(update(ProcessReport).values(state={"endpoints": [[endpoint_id, 4, 4]]}))
    [row] = rows(workspace)
    assert "8 requests are under way to this endpoint" in text(row)
    assert "It has been due for 2 min" in text(row, later=timedelta(minutes=2))
    assert row.version.endswith("-8")

    with database.begin() as connection:  # of workers that are gone
        connection.execute(update(ProcessReport).values(reported_at=now - timedelta(minutes=5)))
    assert "under way" not in text(rows(workspace)[0])


def test_the_end_of_a_lease_is_no_next_attempt(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send(2)
    claim(database)
    db.session.rollback()
    backlog = waiting_counts.read_backlog(db.session(), endpoint_id)
    assert backlog.count == 2
    assert backlog.next_attempt_at and backlog.next_attempt_at <= clock.now()
    claim(database)
    db.session.rollback()
    assert waiting_counts.read_backlog(db.session(), endpoint_id).next_attempt_at is None
    with database.begin() as connection:  # the worker died
        connection.execute(update(PendingDelivery).values(next_attempt_at=clock.now() - LEASE))
    db.session.rollback()
    assert waiting_counts.read_backlog(db.session(), endpoint_id).next_attempt_at is not None
