"""Bodies are packed while every process that runs can read them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update

from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import TOTAL_ID, ProcessReport, RollingUpgrade
from webhooks_app.monitoring import own_report
from webhooks_app.monitoring.own_report import SCHEDULER, WEB, WORKER
from webhooks_app.monitoring.stored_formats import CONSTANT_HEADERS, PACKED_BODIES, FormatGate


@pytest.fixture
def packing(databases: Databases) -> FormatGate:
    return FormatGate(databases.read.connect_autocommit, PACKED_BODIES, answer_seconds=0)


def report(database: WriteDatabase, kind: str, **values: Any) -> str:
    """As a process of the code before reports, which knows no formats."""
    now = clock.now()
    row = {"id": ids.new("prc"), "kind": kind, "host": "one", "pid": 1, "version": "0", "started_at": now}
    row |= {"reported_at": now, "clock_ahead_ms": 0, "state": {}, "counters": {}} | values
    with database.begin() as connection:
        connection.execute(insert(ProcessReport).values(row))
    return str(row["id"])


@pytest.mark.parametrize("kind", [WEB, WORKER])
def test_a_process_that_cannot_read_them_stops_it_for_as_long_as_it_runs(
    database: WriteDatabase, packing: FormatGate, kind: str
) -> None:
    own_report.write(database, own_report.identify(kind), state={}, counted={}, is_first=True)
    assert packing.is_allowed()
    old = report(database, kind)
    assert not packing.is_allowed()
    with database.begin() as connection:
        ended = update(ProcessReport).where(ProcessReport.id == old)
        connection.execute(ended.values(ended_at=clock.now()))
    assert packing.is_allowed()


def test_what_a_process_reads_tells_which_formats_it_stops(
    database: WriteDatabase, databases: Databases, packing: FormatGate
) -> None:
    referring = FormatGate(databases.read.connect_autocommit, CONSTANT_HEADERS, answer_seconds=0)
    assert referring.is_allowed()
    report(database, WEB, reads_format=1)
    assert packing.is_allowed()
    assert not referring.is_allowed()


def test_who_is_silent_for_long_or_reads_no_bodies_stops_nothing(
    database: WriteDatabase, packing: FormatGate
) -> None:
    report(database, WORKER, reported_at=clock.now() - timedelta(minutes=3))
    report(database, SCHEDULER)
    report(database, TOTAL_ID, id=TOTAL_ID)
    assert packing.is_allowed()
    report(database, WORKER, reported_at=clock.now() - timedelta(minutes=1))
    assert not packing.is_allowed()


def test_without_the_upgrades_row_it_waits_and_asks_again(
    database: WriteDatabase, packing: FormatGate
) -> None:
    row = {"change": PACKED_BODIES.change, "ends_at": clock.now()}
    with database.begin() as connection:
        connection.execute(delete(RollingUpgrade))
    assert not packing.is_allowed()
    with database.begin() as connection:
        connection.execute(insert(RollingUpgrade).values(row | {"ends_at": clock.now() + timedelta(hours=1)}))
    assert not packing.is_allowed()
    with database.begin() as connection:
        connection.execute(delete(RollingUpgrade))
        connection.execute(insert(RollingUpgrade).values(row))
    assert packing.is_allowed()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_schema_from_before_is_no_reason_to_refuse_events(
    database: WriteDatabase, packing: FormatGate
) -> None:
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE process_reports DROP COLUMN reads_format"))
    assert not packing.is_allowed()


def test_an_answer_holds_for_a_while(databases: Databases, database: WriteDatabase) -> None:
    packing = FormatGate(databases.read.connect_autocommit, PACKED_BODIES, answer_seconds=3600)
    assert packing.is_allowed()
    report(database, WORKER)
    assert packing.is_allowed()
