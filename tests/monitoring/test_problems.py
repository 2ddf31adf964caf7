"""What operators are told, and what they are not told for nothing. Time is made up."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.monitoring.fleet import DAY, MINUTE, NOW, SECOND, facts, process, sample, well
from webhooks_app.monitoring import problems
from webhooks_app.monitoring.facts import RETENTION, Facts
from webhooks_app.monitoring.own_report import SCHEDULER, WEB, WORKER
from webhooks_app.monitoring.problem_codes import HealthProblem, ProblemCode, Severity

LONG_UP = NOW - DAY
DEAD = 40 * SECOND


def found(known: Facts) -> list[HealthProblem]:
    return problems.find(known, up_since=LONG_UP)


def codes(known: Facts) -> list[ProblemCode]:
    return [each.code for each in found(known)]


def test_a_platform_that_works_has_no_problem() -> None:
    assert found(facts(*well(), samples=(sample(MINUTE, due=5),))) == []


def test_retention_that_does_not_come_to_its_end_for_a_day_is_a_problem() -> None:
    def codes_of(ago: timedelta, up: timedelta) -> list[ProblemCode]:
        known = facts(*well())
        beats = {**known.heartbeats, RETENTION: NOW - ago}
        return [each.code for each in problems.find(replace(known, heartbeats=beats), up_since=NOW - up)]

    assert codes_of(DAY + MINUTE, 3 * DAY) == [ProblemCode.RETENTION_SILENT]
    assert codes_of(DAY - MINUTE, 3 * DAY) == []
    assert codes_of(3 * DAY, 60 * MINUTE) == []  # the whole platform was stopped
    never = problems.find(facts(*well()), up_since=NOW - 2 * DAY)
    assert [each.code for each in never] == [ProblemCode.RETENTION_SILENT]


def test_indexes_of_an_upgrade_that_stay_unfinished_are_a_problem() -> None:
    def codes_after(unfinished: timedelta) -> list[ProblemCode]:
        return codes(replace(facts(*well()), indexes_unfinished_since=NOW - unfinished))

    assert codes_after(181 * MINUTE) == [ProblemCode.INDEXES_UNFINISHED]
    assert codes_after(179 * MINUTE) == codes_after(-DAY) == []


def test_the_only_worker_that_stops_reporting_shows_within_forty_five_seconds() -> None:
    [problem] = found(facts(process(WEB), process(SCHEDULER), process(WORKER, reported=DEAD)))

    assert (problem.code, problem.severity) == (ProblemCode.NO_WORKER, Severity.FAILING)
    assert problem.since == NOW - DEAD
    assert "one:1" in problem.detail
    assert "one:1" not in problem.text


def test_a_worker_that_is_being_restarted_is_no_problem() -> None:
    ended = process(WORKER, reported=10 * SECOND, ended_at=NOW - 10 * SECOND)
    assert found(facts(process(WEB), process(SCHEDULER), ended)) == []


def test_workers_that_were_stopped_and_not_started_again_are_a_problem() -> None:
    ended = process(WORKER, reported=50 * SECOND, ended_at=NOW - 50 * SECOND)
    [problem] = found(facts(process(WEB), process(SCHEDULER), ended))

    assert (problem.code, problem.since) == (ProblemCode.NO_WORKER, NOW - 50 * SECOND)
    assert "ended" in problem.detail


def test_nobody_misses_reports_where_the_sweep_shows_that_all_works() -> None:
    """In the middle of an upgrade, the workers of the version before do not report."""
    assert found(facts(process(WEB))) == []
    assert codes(facts(process(WEB), swept=5 * MINUTE)) == [ProblemCode.NO_WORKER, ProblemCode.NO_SCHEDULER]


def test_a_web_that_has_just_been_started_waits_for_the_others() -> None:
    known = facts(process(WEB), process(WORKER, reported=DEAD), process(SCHEDULER, reported=DEAD))
    assert problems.find(known, up_since=NOW - 20 * SECOND) == []


@pytest.mark.parametrize("kind", [WEB, WORKER])
def test_who_runs_the_version_before_is_told_of(kind: str) -> None:
    [problem] = found(facts(*well(), process(kind, pid=7, reads_format=None, version="0.9")))
    assert (problem.code, problem.severity) == (ProblemCode.PROCESS_OLD, Severity.WARNING)
    assert problem.detail == f"{kind} one:7 runs 0.9"
    for over in ({"ended_at": NOW}, {"reported": DEAD}):
        assert ProblemCode.PROCESS_OLD not in codes(
            facts(*well(), process(kind, pid=7, reads_format=None, **over))
        )


def test_one_lost_worker_of_two_is_told_of_by_its_name() -> None:
    lost = process(WORKER, pid=7, reported=DEAD)
    [problem] = found(facts(*well(), lost))

    assert (problem.code, problem.severity) == (ProblemCode.WORKER_LOST, Severity.WARNING)
    assert (problem.since, problem.detail) == (lost.reported_at, "one:7")


def test_a_killed_worker_that_was_replaced_is_no_problem() -> None:
    lost = process(WORKER, pid=7, reported=DEAD)
    in_its_place = process(WORKER, pid=8, started=35 * SECOND)
    assert found(facts(*well(), lost, in_its_place)) == []


def test_one_newcomer_replaces_one_lost_worker_and_no_more() -> None:
    lost = [process(WORKER, pid=pid, reported=DEAD + pid * SECOND) for pid in (7, 8)]
    in_their_place = process(WORKER, pid=9, started=35 * SECOND)
    assert codes(facts(*well(), *lost, in_their_place)) == [ProblemCode.WORKER_LOST]


def test_a_host_with_a_wrong_clock_replaces_nobody_by_it() -> None:
    lost = process(WORKER, pid=7, reported=DEAD)
    older = process(WORKER, pid=8, started=20 * SECOND, clock_ahead_ms=60_000)
    assert ProblemCode.WORKER_LOST in codes(facts(*well(), lost, older))


def test_a_worker_that_is_gone_for_an_hour_is_forgotten() -> None:
    assert found(facts(*well(), process(WORKER, pid=7, reported=timedelta(hours=2)))) == []


def test_a_worker_whose_main_loop_hangs_is_told_of() -> None:
    hanging = process(WORKER, pid=7, state={"silent_seconds": 80.0})
    [beside] = found(facts(*well(), hanging))
    [alone] = found(facts(process(WEB), process(SCHEDULER), hanging))

    assert (beside.code, beside.severity) == (ProblemCode.WORKER_HANGS, Severity.WARNING)
    assert (alone.code, alone.severity) == (ProblemCode.WORKER_HANGS, Severity.FAILING)
    assert alone.since == hanging.reported_at - 80 * SECOND


def test_a_dead_scheduler_shows_within_forty_five_seconds() -> None:
    [problem] = found(facts(process(WEB), process(WORKER), process(SCHEDULER, reported=DEAD)))
    assert (problem.code, problem.severity, problem.since) == (
        ProblemCode.NO_SCHEDULER,
        Severity.FAILING,
        NOW - DEAD,
    )


def test_a_scheduler_that_cannot_work_says_why() -> None:
    idle = process(SCHEDULER, state={"idle_seconds": 90.0, "redis": "Redis does not answer"})
    [problem] = found(facts(process(WEB), process(WORKER), idle))

    assert problem.code is ProblemCode.SCHEDULER_IDLE
    assert problem.text.endswith("Redis does not answer.")
    assert problem.since == NOW - 90 * SECOND


def test_a_second_scheduler_that_waits_for_the_lock_is_no_problem() -> None:
    assert found(facts(*well(), process(SCHEDULER, pid=2, state={"idle_seconds": None}))) == []


def test_a_scheduler_that_has_only_begun_is_no_problem() -> None:
    new = process(SCHEDULER, started=20 * SECOND, state={"idle_seconds": None})
    assert found(facts(process(WEB), process(WORKER), new)) == []


def test_workers_that_cannot_use_redis_say_why() -> None:
    state = {"redis": "Redis refuses writes: its memory is full", "redis_seconds": 70.0}
    failing = process(WORKER, state=state, reported=5 * SECOND)
    before = process(WORKER, pid=2, state={"redis": state["redis"]})  # the version before says no more
    [problem] = found(facts(process(WEB), process(SCHEDULER), failing, before))

    assert (problem.code, problem.since) == (ProblemCode.REDIS_FAILS_PROCESS, NOW - 75 * SECOND)
    assert "its memory is full" in problem.text


def test_that_writes_are_refused_is_told_by_whoever_met_it_first() -> None:
    late = {"database": "disk_full", "database_seconds": 5.0}
    early = {"database": "disk_full", "database_seconds": 90.0}
    refused = process(WORKER, state=late), process(SCHEDULER, state=early, reported=10 * SECOND)
    [problem] = found(facts(process(WEB, state={"database": None}), *refused))

    assert (problem.code, problem.since) == (ProblemCode.DATABASE_REFUSES, NOW - 100 * SECOND)
    assert problem.text.startswith("The database takes no writes: its disk is full.")


def test_a_cause_that_only_a_newer_version_knows_is_told_as_it_is() -> None:
    state = {"database": "quota", "database_seconds": 1.0}
    [problem] = found(facts(*well(), process(WEB, pid=2, state=state)))
    assert problem.text == "The database takes no writes: quota. Events are refused until that is over."


@pytest.mark.parametrize(
    ("ahead_ms", "severity"), [(4_000, None), (9_000, "warning"), (-9_000, "warning"), (90_000, "failing")]
)
def test_clocks_that_differ_are_told_of(ahead_ms: int, severity: str | None) -> None:
    known = facts(process(WEB), process(SCHEDULER), process(WORKER, host="two", clock_ahead_ms=ahead_ms))
    assert [each.severity for each in found(known)] == ([severity] if severity else [])


def test_a_backlog_that_grows_is_told_of_with_its_slope() -> None:
    growing = tuple(sample(minutes * MINUTE, due=5000 - 100 * minutes) for minutes in range(12, -1, -1))
    [problem] = found(facts(*well(), samples=growing))

    assert problem.code is ProblemCode.BACKLOG_GROWS
    assert problem.text == "5,000 deliveries are due, and 100 more each minute."
    assert problem.since == NOW - 12 * MINUTE


@pytest.mark.parametrize(
    "due", [range(4000, 2600, -100), [3000] * 13, range(13)], ids=["falls", "stays", "small"]
)
def test_a_backlog_that_does_not_grow_or_is_small_is_no_problem(due: range | list[int]) -> None:
    samples = tuple(sample((12 - turn) * MINUTE, due=count) for turn, count in enumerate(due))
    assert found(facts(*well(), samples=samples)) == []


def test_an_endpoint_that_takes_most_slots_while_others_wait_is_named_to_operators() -> None:
    crowded = process(
        WORKER, state={"in_flight": 390, "endpoints": [["ep_slow", 256, 256], ["ep_b", 100, 256]]}
    )
    others = (process(WEB), process(SCHEDULER))
    [problem] = found(facts(*others, crowded, samples=(sample(MINUTE, due=500),)))

    assert (problem.code, problem.endpoint_id) == (ProblemCode.ENDPOINT_CROWDS, "ep_slow")
    assert "64%" in problem.text
    assert "ep_slow" not in problem.text
    assert found(facts(*others, crowded, samples=(sample(MINUTE, due=10),))) == []


def test_what_needs_somebody_now_comes_first() -> None:
    known = facts(
        process(WEB, host="two", clock_ahead_ms=9_000), process(WORKER), process(SCHEDULER, reported=DEAD)
    )
    assert codes(known) == [ProblemCode.NO_SCHEDULER, ProblemCode.CLOCK_SKEW]
