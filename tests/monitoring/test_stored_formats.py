"""Rows are stored in a format while every process that runs can read it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update

from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import TOTAL_ID, ProcessReport, RollingUpgrade
from webhooks_app.db.rolling_upgrades import CONSTANT_HEADERS, PACKED_BODIES
from webhooks_app.monitoring import own_report
from webhooks_app.monitoring.own_report import SCHEDULER, WEB, WORKER
from webhooks_app.monitoring.stored_formats import StoredFormat, StoredFormats

NEWEST = max(StoredFormat)


@pytest.fixture
def formats(databases: Databases) -> StoredFormats:
    return StoredFormats(databases.read.connect_autocommit, answer_seconds=0)


def report(database: WriteDatabase, kind: str, **values: Any) -> str:
    """As a process of the previous version reports, which knows no formats."""
    now = clock.now()
    row = {"id": ids.new("prc"), "kind": kind, "host": "one", "pid": 1, "version": "0", "started_at": now}
    row |= {"reported_at": now, "clock_ahead_ms": 0, "state": {}, "counters": {}} | values
    with database.begin() as connection:
        connection.execute(insert(ProcessReport).values(row))
    return str(row["id"])


@pytest.mark.parametrize("kind", [WEB, WORKER])
def test_a_process_that_cannot_read_them_stops_it_for_as_long_as_it_runs(
    database: WriteDatabase, formats: StoredFormats, kind: str
) -> None:
    own_report.write(database, own_report.identify(kind), state={}, counted={}, is_first=True)
    assert formats.newest() is NEWEST
    old = report(database, kind)
    assert formats.newest() is StoredFormat.PLAIN
    with database.begin() as connection:
        ended = update(ProcessReport).where(ProcessReport.id == old)
        connection.execute(ended.values(ended_at=clock.now()))
    assert formats.newest() is NEWEST


@pytest.mark.parametrize("reads_format", StoredFormat)
def test_the_process_that_reads_least_tells_what_is_stored(
    database: WriteDatabase, formats: StoredFormats, reads_format: StoredFormat
) -> None:
    report(database, WEB, reads_format=max(StoredFormat))
    report(database, WORKER, reads_format=reads_format)
    report(database, WEB, reads_format=max(StoredFormat) + 1)
    assert formats.newest() is reads_format


def test_no_format_is_used_before_the_upgrade_that_brought_one_before_it_is_over(
    database: WriteDatabase, formats: StoredFormats
) -> None:
    later = {"ends_at": clock.now() + timedelta(hours=1)}
    with database.begin() as connection:
        change = RollingUpgrade.change
        connection.execute(update(RollingUpgrade).where(change == CONSTANT_HEADERS).values(later))
    assert formats.newest() is StoredFormat.PACKED_BODIES
    with database.begin() as connection:
        connection.execute(
            update(RollingUpgrade).where(change == CONSTANT_HEADERS).values(ends_at=clock.now())
        )
        connection.execute(update(RollingUpgrade).where(change == PACKED_BODIES).values(later))
    assert formats.newest() is StoredFormat.PLAIN


def test_who_is_silent_for_long_or_reads_no_bodies_stops_nothing(
    database: WriteDatabase, formats: StoredFormats
) -> None:
    report(database, WORKER, reported_at=clock.now() - timedelta(minutes=3))
    report(database, SCHEDULER)
    report(database, TOTAL_ID, id=TOTAL_ID)
    assert formats.newest() is NEWEST
    report(database, WORKER, reported_at=clock.now() - timedelta(minutes=1))
    assert formats.newest() is StoredFormat.PLAIN


def test_without_the_upgrades_row_it_waits_and_asks_again(
    database: WriteDatabase, formats: StoredFormats
) -> None:
    row = {"change": PACKED_BODIES, "ends_at": clock.now()}
    with database.begin() as connection:
        connection.execute(delete(RollingUpgrade))
    assert formats.newest() is StoredFormat.PLAIN
    with database.begin() as connection:
        connection.execute(insert(RollingUpgrade).values(row | {"ends_at": clock.now() + timedelta(hours=1)}))
    assert formats.newest() is StoredFormat.PLAIN
    with database.begin() as connection:
        connection.execute(delete(RollingUpgrade))
        connection.execute(insert(RollingUpgrade).values(row))
    assert formats.newest() is StoredFormat.PACKED_BODIES


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_schema_from_before_is_no_reason_to_refuse_events(
    database: WriteDatabase, formats: StoredFormats
) -> None:
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE process_reports DROP COLUMN reads_format"))
    assert formats.newest() is StoredFormat.PLAIN


def test_an_answer_holds_for_a_while(databases: Databases, database: WriteDatabase) -> None:
    formats = StoredFormats(databases.read.connect_autocommit, answer_seconds=3600)
    assert formats.newest() is NEWEST
    report(database, WORKER)
    assert formats.newest() is NEWEST
