"""Payloads go before the log does, of what is finished only: both databases, simulated time."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update

from tests.conftest import TESTER, Workspace
from tests.waiting import wait_for
from tests.worker.attempted import attempt_all
from webhooks_app.core import clock, ids
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db import event_payloads
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import (
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    Event,
    FanOut,
    Heartbeat,
    LatePayload,
    RollingUpgrade,
)
from webhooks_app.db.models import Workspace as WorkspaceRow
from webhooks_app.db.models.base import Base
from webhooks_app.db.rolling_upgrades import PAYLOADS_APART
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.deliveries import payload_retention, replays, retention
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.deliveries.payload_retention import FinishedErasures
from webhooks_app.deliveries.replays import ReplayResult
from webhooks_app.deliveries.retention_batches import BatchRunner, RetentionLimits
from webhooks_app.endpoints import actions
from webhooks_app.events.fan_out_plan import FanOutPlan
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.facts import RETENTION

URL = "http://127.0.0.1:9/"
DAY = timedelta(days=1)
SECRET = "Frau-Mueller-4711"


@pytest.fixture
def now() -> datetime:
    return clock.now()


def deliver(
    database: WriteDatabase,
    endpoint_id: str,
    kind: OutcomeClass = OutcomeClass.SUCCESS,
    at: datetime | None = None,
) -> None:
    """One attempt of everything due there, whose answer repeats the payload."""
    answer = Outcome(
        kind,
        status=200,
        response_headers=f"HTTP/1.1 200 OK\r\nx-echo: {SECRET}\r\n".encode(),
        response_body=f'{{"got": "{SECRET}"}}'.encode(),
    )
    attempt_all(database, endpoint_id, answer, at or clock.now())


def upgrading(database: WriteDatabase, *, until: datetime) -> None:
    with database.begin() as connection:
        connection.execute(insert(RollingUpgrade).values(change=PAYLOADS_APART, ends_at=until))


def erased_count(databases: Databases, now: datetime, **limits: Any) -> int:
    db.session.rollback()  # a reader, for which the end of a run would wait
    payloads = retention.delete_expired(databases, now=now, **limits).payloads
    db.session.rollback()
    return payloads


def has_payload() -> list[bool]:
    db.session.rollback()
    return [bool(body) for body in db.session.scalars(select(Event.body).order_by(Event.id))]


def cells(databases: Databases) -> Iterator[str]:
    """Everything that stands in any table, as text."""
    with databases.read.connect() as connection:
        for table in Base.metadata.sorted_tables:
            for row in connection.execute(select(table)):
                yield from (
                    each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in row
                )


def mentions(databases: Databases) -> int:
    return sum(SECRET.lower() in each.lower() for each in cells(databases))


def samples(database: WriteDatabase) -> str:
    """Everything that PostgreSQL's statistics have of any table's values."""
    if database.dialect.name != "postgresql":
        return ""
    kinds = "most_common_vals", "histogram_bounds", "most_common_elems"
    listed = ", ' ', ".join(f"{kind}::text" for kind in kinds)
    statement = text(f"SELECT concat({listed}) FROM pg_stats WHERE schemaname = 'public'")
    with database.begin() as connection:
        return "\n".join(connection.scalars(statement)).lower()


def sampled_mentions(database: WriteDatabase) -> int:
    found = samples(database)
    return found.count(SECRET.lower()) + found.count(SECRET.encode().hex())


def test_the_payload_is_gone_from_every_table_and_the_log_stays(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(3, batch_id=SECRET)
    deliver(database, endpoint_id)
    assert mentions(databases) >= 4 * 3
    analyze(database)

    assert erased_count(databases, now + 29 * DAY) == 0
    assert all(has_payload())
    later = now + 31 * DAY
    assert erased_count(databases, later) == 3
    assert mentions(databases) == sampled_mentions(database) == 0
    for event in db.session.scalars(select(Event)):
        assert (event.payload_erased_at, event.indexed_values, event.first_value) == (later, [], None)
    assert {row.state for row in db.session.scalars(select(Delivery))} == {DeliveryState.DELIVERED}
    attempts = db.session.scalars(select(Attempt)).all()
    assert {(each.status, each.packed_heads, each.request_headers) for each in attempts} == {
        (200, None, "[]")
    }
    assert erased_count(databases, later) == 0


def analyze(database: WriteDatabase) -> None:
    """As autovacuum does now and then."""
    if database.dialect.name == "postgresql":
        with database.begin() as connection:
            connection.execute(text("ANALYZE"))
        assert sampled_mentions(database)  # of what events are found by


def test_where_no_time_is_set_payloads_stay_as_long_as_the_log(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    deliver(database, endpoint_id)
    with database.begin() as connection:
        connection.execute(update(WorkspaceRow).values(payload_days=None, retention_days=60))

    assert erased_count(databases, now + 59 * DAY) == 0
    assert has_payload() == [True]


@pytest.mark.parametrize("state", ["pending", "retrying", "held"])
def test_what_is_still_to_be_sent_keeps_its_payload_until_it_is_finished(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime, state: str
) -> None:
    finished, open_ = workspace.endpoint(URL, name="finished"), workspace.endpoint(URL, name="open")
    if state == "held":
        actions.disable(database, db.session.get_one(Endpoint, open_), actor=TESTER)
    workspace.send(2)
    deliver(database, finished)
    if state == "retrying":
        deliver(database, open_, OutcomeClass.TIMEOUT)

    for days in (31, 45):
        assert erased_count(databases, now + days * DAY) == 0
    assert has_payload() == [True, True]
    db.session.rollback()
    if state == "held":
        actions.enable(database, db.session.get_one(Endpoint, open_), send_held=True, actor=TESTER)
    deliver(database, open_, at=now + 46 * DAY)
    assert erased_count(databases, now + 75 * DAY) == 0  # as the log, it counts from then on
    one_by_one = RetentionLimits(batch_seconds=3600.0, first_batch=1, largest_batch=1)
    assert erased_count(databases, now + 78 * DAY, limits=one_by_one) == 2
    assert has_payload() == [False, False]
    assert not db.session.scalars(select(LatePayload)).all()


def test_what_was_finished_within_the_hour_needs_no_other_run(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    deliver(database, endpoint_id, at=now + timedelta(minutes=50))
    assert erased_count(databases, now + 30 * DAY + timedelta(minutes=1)) == 1


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
def test_all_deliveries_of_an_event_lose_what_they_have_of_it(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime, chunk_rows: int
) -> None:
    endpoint_ids = [workspace.endpoint(URL) for _ in range(5)]
    workspace.send(batch_id=SECRET)
    for endpoint_id in endpoint_ids:
        deliver(database, endpoint_id)

    limits = RetentionLimits(chunk_rows=chunk_rows)
    assert erased_count(databases, now + 31 * DAY, limits=limits) == 1
    assert mentions(databases) == 0


def test_each_run_begins_where_the_one_before_ended_and_notes_what_is_unfinished(
    workspace: Workspace, databases: Databases
) -> None:
    workspace.endpoint(URL)
    names: list[str] = []
    for _ in range(2):
        names += workspace.send()
        expired = ids.created_at(names[-1]) + timedelta(milliseconds=1)
        wait_for(partial(_is_past, expired))
        newer = workspace.send()
        assert erased_count(databases, expired + 30 * DAY) == 0
        assert db.session.scalars(select(WorkspaceRow.payloads_erased_to)).one() == names[-1]
        assert sorted(db.session.scalars(select(LatePayload.event_id))) == names
        db.session.rollback()
        names += newer


def _is_past(moment: datetime) -> bool:
    return clock.now() > moment


def test_of_an_event_that_went_with_the_log_no_note_is_left(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    gone = ids.floor("evt", now - DAY)
    with database.begin() as connection:
        connection.execute(insert(LatePayload).values(workspace_id=workspace.id, event_id=gone))

    assert erased_count(databases, now + 31 * DAY) == 0
    assert not db.session.scalars(select(LatePayload)).all()


def test_an_event_whose_fan_out_is_under_way_keeps_its_payload(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    workspace.send(4)
    names = list(db.session.scalars(select(Event.id).order_by(Event.id)))
    topic = ("ws", "batch-lifecycle")
    plan = FanOutPlan([(each, topic) for each in names[:3]], {topic: ["ep_1", "ep_2"]}).as_json()
    with database.begin() as connection:
        rest = {"id": "fan_1", "plan": plan, "position": 3, "created_at": now, "taken_until": now}
        connection.execute(insert(FanOut).values(rest))

    assert erased_count(databases, now + 31 * DAY) == 2  # the first, which has its two, and the last
    assert has_payload() == [False, True, True, False]
    with database.begin() as connection:
        connection.execute(delete(FanOut))
    assert erased_count(databases, now + 31 * DAY) == 2


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_planner_forgets_the_values_of_a_table_that_is_empty_then(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(3, batch_id=SECRET)
    deliver(database, endpoint_id)
    analyze(database)

    erased_count(databases, now + 91 * DAY)
    assert not db.session.scalars(select(Event)).all()
    assert sampled_mentions(database) == 0


def test_nothing_is_erased_before_the_code_before_is_gone(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    workspace.send()
    later = now + 31 * DAY
    upgrading(database, until=later + DAY)

    assert erased_count(databases, later) == 0
    assert has_payload() == [True]
    assert erased_count(databases, later + DAY) == 1


def test_what_is_late_and_unfinished_is_not_locked_by_each_run(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime, monkeypatch: Any
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    assert erased_count(databases, now + 31 * DAY) == 0
    assert len(db.session.scalars(select(LatePayload)).all()) == 2
    calls: list[Sequence[str]] = []

    def note(_connection: Connection, named: Sequence[str], **_rest: Any) -> int:
        calls.append(named)
        return 0

    monkeypatch.setattr(payload_rows, "erase_finished", note)
    assert erased_count(databases, now + 32 * DAY) == 0
    assert calls == []


def test_a_killed_run_is_gone_on_with(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime, monkeypatch: Any
) -> None:
    limits = RetentionLimits(batch_seconds=3600.0, first_batch=5, largest_batch=5)
    endpoint_id = workspace.endpoint(URL)
    workspace.send(20)
    deliver(database, endpoint_id)
    erase, calls = payload_rows.erase_finished, iter(range(100))

    def die_at_the_third(connection: WriteConnection, named: Sequence[str], **rest: Any) -> int:
        count = erase(connection, named, **rest)
        if next(calls) == 2:
            raise KeyboardInterrupt
        return count

    monkeypatch.setattr(payload_rows, "erase_finished", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        erased_count(databases, now + 31 * DAY, limits=limits)
    assert has_payload().count(True) == 10
    assert erased_count(databases, now + 31 * DAY, limits=limits) == 10
    assert mentions(databases) == 0


def test_what_is_replayed_while_it_is_looked_at_keeps_its_payload(
    workspace: Workspace, database: WriteDatabase, databases: Databases, wake_ups: WakeUps, now: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(2)
    deliver(database, endpoint_id)
    first, second = db.session.execute(select(Delivery.id, Delivery.event_id).order_by(Delivery.id))
    replays.replay(database, wake_ups, workspace.id, first.id, actor=TESTER)

    with database.begin() as connection:
        named = [first.event_id, second.event_id]
        assert payload_rows.erase_finished(connection, named, finished_before=now + DAY, now=now) == 1
    refused = replays.replay(database, wake_ups, workspace.id, second.id, actor=TESTER)
    assert refused is ReplayResult.PAYLOAD_ERASED
    assert has_payload() == [True, False]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_erasure_passes_over_what_is_just_being_replayed(
    workspace: Workspace, database: WriteDatabase, now: datetime
) -> None:
    """By locks that are held at once; SQLite has one writer."""
    endpoint_id = workspace.endpoint(URL)
    workspace.send(2)
    deliver(database, endpoint_id)
    names = list(db.session.scalars(select(Event.id).order_by(Event.id)))
    db.session.rollback()
    with database.begin() as replaying, database.begin() as erasing:
        assert event_payloads.lock_unerased(replaying, names[:1]) == names[:1]
        count = payload_rows.erase_finished(erasing, names, finished_before=now + DAY, now=now)
    assert count == 1
    assert has_payload() == [True, False]


@pytest.mark.parametrize("was_late", [False, True])
def test_each_workspace_keeps_its_own_time(
    make_workspace: Callable[[str], Workspace],
    database: WriteDatabase,
    databases: Databases,
    now: datetime,
    was_late: bool,
) -> None:
    brief, long = make_workspace("Brief"), make_workspace("Long")
    endpoint_ids = [each.endpoint(URL) for each in (brief, long)]
    for each in (brief, long):
        each.send()
    if was_late:
        assert erased_count(databases, now + 31 * DAY) == 0
    finished_at = now + 31 * DAY if was_late else clock.now()
    for endpoint_id in endpoint_ids:
        deliver(database, endpoint_id, at=finished_at)
    with database.begin() as connection:
        connection.execute(update(WorkspaceRow).where(WorkspaceRow.id == brief.id).values(payload_days=7))

    assert erased_count(databases, finished_at + 8 * DAY) == 1
    kept = select(Event.workspace_id).where(Event.payload_erased_at.is_(None))
    assert db.session.scalars(kept).all() == [long.id]
    contents = select(Event.workspace_id).join(Delivery, Delivery.event_id == Event.id)
    contents = contents.join(Attempt, Attempt.delivery_id == Delivery.id)
    assert db.session.scalars(contents.where(Attempt.response_body.is_not(None))).all() == [long.id]


def test_what_fails_in_one_workspace_keeps_no_other_waiting(
    make_workspace: Callable[[str], Workspace],
    database: WriteDatabase,
    databases: Databases,
    now: datetime,
    monkeypatch: Any,
) -> None:
    first, second = sorted((make_workspace("One"), make_workspace("Two")), key=lambda each: each.id)
    for each in (first, second):
        each.send()
    completed = select(Heartbeat.at).where(Heartbeat.name == RETENTION)
    expire = payload_retention.expire

    def fail(
        batches: BatchRunner, workspace: WorkspaceRow, finished: FinishedErasures, *, now: datetime
    ) -> int:
        if workspace.id == first.id:
            raise ArithmeticError
        return expire(batches, workspace, finished, now=now)

    monkeypatch.setattr(payload_retention, "expire", fail)
    with pytest.raises(ArithmeticError):
        erased_count(databases, now + 31 * DAY)
    monkeypatch.undo()
    assert sorted(has_payload()) == [False, True]
    assert db.session.scalar(completed) is None
    assert erased_count(databases, now + 31 * DAY) == 1
    assert db.session.scalars(completed).one() >= now


@pytest.mark.parametrize("fails_then", [False, True])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_byte_of_it_is_left_in_the_file(
    workspace: Workspace,
    database: WriteDatabase,
    databases: Databases,
    now: datetime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails_then: bool,
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(3, note="x" * 9000 + SECRET)  # longer than a page
    deliver(database, endpoint_id)

    def is_in_file() -> bool:
        files = [tmp_path / name for name in ("test.db", "test.db-wal")]
        return any(SECRET.encode() in each.read_bytes() for each in files if each.exists())

    assert is_in_file()
    if fails_then:
        expire = payload_retention.expire

        def fail(*values: Any, now: datetime) -> int:
            raise ArithmeticError(expire(*values, now=now))

        monkeypatch.setattr(payload_retention, "expire", fail)
        with pytest.raises(ArithmeticError, match="3"):
            erased_count(databases, now + 31 * DAY)
    else:
        assert erased_count(databases, now + 31 * DAY) == 3
    assert not is_in_file()
