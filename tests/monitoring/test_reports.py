"""Processes report into the database; what they counted outlives them, whoever else counts."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import ProcessReport
from webhooks_app.monitoring import own_report, reports
from webhooks_app.monitoring.counters import ProcessCounters
from webhooks_app.monitoring.own_report import WEB, WORKER
from webhooks_app.monitoring.reporter import Reporter
from webhooks_app.monitoring.reports import MOST_OVER, Reports

COUNTED = "attempts\tsuccess"


def read(databases: Databases) -> Reports:
    with databases.read.connect() as connection:
        return reports.read(connection)


def make_old(databases: Databases, age: timedelta, *, pid: int | None = None) -> None:
    """Let all processes have reported so long ago, or the one."""
    statement = update(ProcessReport).values(reported_at=clock.now() - age)
    with databases.write.begin() as connection:
        connection.execute(statement if pid is None else statement.where(ProcessReport.pid == pid))


def reporter_of(
    databases: Databases, counters: ProcessCounters | None = None, kind: str = WORKER
) -> Reporter:
    return Reporter(databases, kind, counters or ProcessCounters(), describe=lambda: {"in_flight": 3})


def test_a_process_is_known_by_what_it_reported_last(databases: Databases) -> None:
    counters = ProcessCounters()
    reporter = reporter_of(databases, counters)
    reporter.report()
    counters.count("attempts", "success")
    reporter.report()

    known = read(databases)

    [process] = known.processes
    assert (process.kind, process.state) == (WORKER, {"in_flight": 3})
    assert process.is_alive(known.now)
    assert process.clock_ahead_ms == 0  # as one clock tells both
    assert known.counters == {COUNTED: 1}


def test_several_processes_are_counted_together(databases: Databases) -> None:
    for kind in (WEB, WORKER, WORKER):
        counters = ProcessCounters()
        counters.count("attempts", "success")
        reporter_of(databases, counters, kind).report()

    known = read(databases)

    assert len(known.alive(WORKER)) == 2
    assert known.counters == {COUNTED: 3}


def test_a_process_that_stops_reporting_is_not_alive(databases: Databases) -> None:
    reporter_of(databases).report()
    make_old(databases, reports.SILENT_AFTER + timedelta(seconds=1))

    assert read(databases).alive(WORKER) == []


def test_a_process_that_ends_says_so(databases: Databases) -> None:
    reporter = reporter_of(databases)
    reporter.start()
    reporter.stop()

    [process] = read(databases).processes
    assert process.ended_at is not None


@pytest.mark.parametrize("ends", [True, False])
def test_what_a_forgotten_process_counted_stays_in_the_total(databases: Databases, ends: bool) -> None:
    counters = ProcessCounters()
    counters.count("attempts", "success")
    for _ in range(2):
        reporter_of(databases, counters).report(is_last=ends)
    make_old(databases, 2 * reports.FORGOTTEN_AFTER)

    for _ in range(2):
        reports.delete_ended(databases.write)

    known = read(databases)
    assert (known.processes, known.counters) == ((), {COUNTED: 2})


def test_a_process_that_was_taken_for_dead_counts_on_and_nothing_twice(databases: Databases) -> None:
    counters = ProcessCounters()
    reporter = reporter_of(databases, counters)
    counters.count("attempts", "success")
    reporter.report()
    make_old(databases, 2 * reports.FORGOTTEN_AFTER)
    reports.delete_ended(databases.write)

    for total in (2, 3):
        counters.count("attempts", "success")
        reporter.report()
        known = read(databases)
        assert (len(known.processes), known.counters) == (1, {COUNTED: total})


def test_processes_that_die_again_and_again_do_not_fill_the_table(databases: Databases) -> None:
    counters = ProcessCounters()
    counters.count("attempts", "success")
    for _ in range(MOST_OVER + 5):
        reporter_of(databases, counters).report(is_last=True)

    reports.delete_ended(databases.write)

    known = read(databases)
    assert len(known.processes) == MOST_OVER
    assert known.counters == {COUNTED: MOST_OVER + 5}


def test_whoever_is_alive_is_not_forgotten(databases: Databases) -> None:
    reporter_of(databases).report()
    reports.delete_ended(databases.write)

    assert len(read(databases).processes) == 1


def test_a_report_whose_answer_was_lost_is_written_again(databases: Databases) -> None:
    identity = own_report.identify(WEB)
    for _ in range(2):
        written = own_report.write(databases.write, identity, state={}, counted={COUNTED: 1}, is_first=True)
        assert written
    stranger = own_report.identify(WEB)
    assert not own_report.write(databases.write, stranger, state={}, counted={}, is_first=False)

    assert read(databases).counters == {COUNTED: 1}
