"""A problem is dated by when it was first found, for as long as it is found each time."""

from tests.monitoring.fleet import MINUTE, NOW
from webhooks_app.monitoring.problem_codes import HealthProblem, ProblemCode, Severity
from webhooks_app.monitoring.problem_memory import ProblemMemory

DISK = HealthProblem(ProblemCode.DISK, Severity.FAILING, "It is full.")
CLOCKS = [
    HealthProblem(ProblemCode.CLOCK_SKEW, Severity.WARNING, "It is off.", detail=host)
    for host in ("one", "two")
]
DATED = HealthProblem(ProblemCode.NO_WORKER, Severity.FAILING, "None runs.", since=NOW - 9 * MINUTE)


def test_what_lasts_is_dated_by_when_it_was_found_first() -> None:
    memory = ProblemMemory()
    assert [each.since for each in memory.with_since([DATED, DISK], now=NOW)] == [NOW - 9 * MINUTE, NOW]
    later = memory.with_since([DISK, *CLOCKS[:1], DATED], now=NOW + MINUTE)
    assert [each.since for each in later] == [NOW, NOW + MINUTE, NOW - 9 * MINUTE]
    both = memory.with_since(CLOCKS, now=NOW + 2 * MINUTE)
    assert [each.since for each in both] == [NOW + MINUTE, NOW + 2 * MINUTE]


def test_what_was_over_in_between_began_anew() -> None:
    memory = ProblemMemory()
    memory.with_since([DISK], now=NOW)
    assert memory.with_since([], now=NOW + MINUTE) == []
    [again] = memory.with_since([DISK], now=NOW + 2 * MINUTE)
    assert again.since == NOW + 2 * MINUTE
