"""What comes of attempts after their event was erased is kept without its content."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from tests.conftest import TESTER, Workspace
from tests.deliveries.erasure.test_one_event import noted
from tests.deliveries.test_payload_retention import SECRET, URL, mentions
from tests.monitoring.test_stored_formats import report
from tests.waiting import wait_for
from tests.worker.attempted import attempted, attempts, claim_twice, finished, write
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Attempt, Endpoint, Event, ProcessReport
from webhooks_app.deliveries import retention
from webhooks_app.deliveries.erasure import one_event, payload_rows
from webhooks_app.extensions import db
from webhooks_app.monitoring.own_report import WORKER
from webhooks_app.monitoring.stored_formats import StoredFormat
from webhooks_app.worker.claimed_delivery import ClaimedDelivery

ECHO = Outcome(
    OutcomeClass.SUCCESS,
    detail=f"The body was cut. ({SECRET})",
    status=200,
    response_headers=f"HTTP/1.1 200 OK\r\nx-echo: {SECRET}\r\n".encode(),
    response_body=SECRET.encode(),
)


@pytest.fixture
def stale(workspace: Workspace, database: WriteDatabase) -> ClaimedDelivery:
    """A claim that outlived its lease, of a delivery that was given up since."""
    workspace.endpoint(URL)
    workspace.send(batch_id=SECRET)
    stale, current = claim_twice(database)
    write(database, attempted(current, Outcome(OutcomeClass.TIMEOUT), delays=()))
    return finished(stale, ECHO, headers=f'[["x-request", "{SECRET}"]]')


def test_a_success_that_comes_behind_an_erasure_leaves_no_content(
    stale: ClaimedDelivery, database: WriteDatabase, databases: Databases
) -> None:
    one_event.erase(databases, stale.event_id, actor=TESTER)

    write(database, stale)
    assert [(each.outcome, each.status) for each in attempts()] == [("success", 200), ("timeout", None)]
    assert mentions(databases) == 0


def test_without_an_erasure_its_content_is_kept(
    stale: ClaimedDelivery, database: WriteDatabase, databases: Databases
) -> None:
    write(database, stale)
    assert [each.response_body for each in attempts()] == [SECRET.encode(), None]


def record_as_before(database: WriteDatabase) -> None:
    """Have an attempt's content in the log, whatever became of its event, as the previous version does."""
    with database.begin() as connection:
        connection.execute(update(Attempt).values(response_body=SECRET.encode()))


def test_what_the_code_before_records_behind_an_erasure_goes_until_none_of_it_runs(
    stale: ClaimedDelivery, database: WriteDatabase, databases: Databases
) -> None:
    old = report(database, WORKER)
    erased = one_event.erase(databases, stale.event_id, actor=TESTER)
    assert (erased.may_come_back, erased.is_complete) == (True, False)
    for notes in ([stale.event_id], []):
        record_as_before(database)
        if not notes:
            with database.begin() as connection:
                ended = update(ProcessReport).where(ProcessReport.id == old)
                connection.execute(ended.values(ended_at=clock.now()))
        db.session.rollback()
        retention.delete_expired(databases, now=clock.now() + timedelta(hours=1))
        assert mentions(databases) == 0
        assert noted() == notes
    assert one_event.erase(databases, stale.event_id, actor=TESTER).is_complete


@pytest.mark.parametrize(
    ("reads_format", "is_before"), [(StoredFormat.PLAIN, True), (StoredFormat.PACKED_BODIES, False)]
)
def test_content_may_come_back_only_by_code_that_reads_no_packed_bodies(
    database: WriteDatabase, databases: Databases, reads_format: StoredFormat, is_before: bool
) -> None:
    report(database, WORKER, reads_format=reads_format)
    assert payload_rows.may_come_back(databases.read) is is_before


def test_a_repeat_erases_what_has_come_back(
    stale: ClaimedDelivery, database: WriteDatabase, databases: Databases
) -> None:
    assert one_event.erase(databases, stale.event_id, actor=TESTER).is_complete
    record_as_before(database)
    for count in (1, 0):
        again = one_event.erase(databases, stale.event_id, actor=TESTER)
        assert (again.was_erased, again.is_complete, again.attempts_erased) == (True, True, count)
        assert mentions(databases) == 0
        assert noted() == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_success_that_comes_during_an_erasure_waits_for_its_end(
    stale: ClaimedDelivery, database: WriteDatabase, databases: Databases
) -> None:
    """By locks that are held at once; SQLite has one writer."""
    recording = threading.Thread(target=write, args=(database, stale))
    with database.begin() as erasing:
        erasing.execute(select(Event.id).where(Event.id == stale.event_id).with_for_update())
        recording.start()
        waits = text("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        wait_for(lambda: bool(erasing.scalar(waits)))
        payload_rows.erase_bodies(erasing, [stale.event_id], now=clock.now())
    recording.join()
    assert len(attempts()) == 2
    assert mentions(databases) == 0


@pytest.mark.parametrize(
    ("kind", "is_listener", "is_kept"),
    [
        (OutcomeClass.CONNECT, False, True),
        (OutcomeClass.CONNECT, True, False),  # a program's own words
        (OutcomeClass.INVALID_RESPONSE, False, False),
    ],
)
def test_a_detail_that_may_quote_the_payload_goes_with_it(
    workspace: Workspace,
    database: WriteDatabase,
    databases: Databases,
    kind: OutcomeClass,
    is_listener: bool,
    is_kept: bool,
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    first, second = claim_twice(database)
    outcome = replace(ECHO, kind=kind, status=0)
    write(database, attempted(second, outcome, delays=()))
    with database.begin() as connection:
        mine = update(Endpoint).where(Endpoint.id == endpoint_id)
        connection.execute(mine.values(is_listener=is_listener))

    one_event.erase(databases, first.event_id, actor=TESTER)
    db.session.rollback()
    assert [bool(each.detail) for each in attempts()] == [is_kept]
