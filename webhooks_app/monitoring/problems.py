"""What is wrong with the platform, in sentences, and since when. Pure.

Those of single processes are in `process_problems`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from webhooks_app.monitoring import backlog, own_report, process_problems, write_problems
from webhooks_app.monitoring.facts import RETENTION, Facts
from webhooks_app.monitoring.own_report import WORKER
from webhooks_app.monitoring.problem_codes import HealthProblem, ProblemCode, Severity
from webhooks_app.monitoring.reports import Process

LARGEST_CLOCK_DIFFERENCE = timedelta(seconds=5)
# A lease ends by the clock of whoever claims next.
_CLOCK_IS_WRONG = timedelta(seconds=60)
# Retention runs each hour; one that begins with very much takes longer.
_RETENTION_SILENCE = timedelta(days=1)
# So long after a start the first run has been due.
_FIRST_RETENTION = timedelta(hours=2)
# The hourly job tries anew.
_INDEXES_UNFINISHED = timedelta(hours=3)
_LARGE_BACKLOG = 1_000
_FAST_GROWTH_PER_MINUTE = 10
# Where so much waits that slots are worth something.
_WAITING = 100


def find(facts: Facts, *, up_since: datetime) -> list[HealthProblem]:
    """Return what the facts say is wrong, the worst first.

    `up_since` is when whoever asks was started: a new platform is given time to report.
    """
    found = [
        *process_problems.of_workers(facts, up_since),
        *process_problems.of_schedulers(facts, up_since),
        *process_problems.of_losses(facts),
        *process_problems.of_old_code(facts),
        *write_problems.of_reports(facts),
        *_of_redis(facts),
        *_of_clocks(facts),
        *_of_backlog(facts),
        *_of_capacity(facts),
        *_of_retention(facts, up_since),
        *_of_indexes(facts),
    ]
    return sorted(found, key=lambda each: each.severity is not Severity.FAILING)


def _of_redis(facts: Facts) -> Iterator[HealthProblem]:
    failing = [each for each in facts.reports.alive(WORKER) if each.state.get("redis")]
    if failing:
        yield HealthProblem(
            ProblemCode.REDIS_FAILS_PROCESS,
            Severity.FAILING,
            f"Workers cannot use Redis, so deliveries may be late: {failing[0].state['redis']}.",
            _redis_fails_since(failing),
            ", ".join(each.name for each in failing),
        )


def _redis_fails_since(failing: Sequence[Process]) -> datetime | None:
    """Return when it began to fail the first of them; workers of the version before do not say."""
    for_seconds = [(each.reported_at, each.state.get("redis_seconds")) for each in failing]
    since = [at - timedelta(seconds=seconds) for at, seconds in for_seconds if seconds is not None]
    return min(since, default=None)


def _of_clocks(facts: Facts) -> Iterator[HealthProblem]:
    alive = [each for kind in own_report.KINDS for each in facts.reports.alive(kind)]
    by_host = {each.host: timedelta(milliseconds=each.clock_ahead_ms) for each in alive}
    for host, ahead in sorted(by_host.items()):
        if abs(ahead) > LARGEST_CLOCK_DIFFERENCE:
            way = "ahead of" if ahead > timedelta(0) else "behind"
            yield HealthProblem(
                ProblemCode.CLOCK_SKEW,
                Severity.FAILING if abs(ahead) > _CLOCK_IS_WRONG else Severity.WARNING,
                f"A host's clock is {abs(ahead).total_seconds():,.0f} s {way} the database's. "
                "Set its time by NTP: leases, retries and signatures depend on it.",
                None,
                host,
            )


def _of_backlog(facts: Facts) -> Iterator[HealthProblem]:
    if not facts.samples:
        return
    newest, slope = facts.samples[-1], backlog.slope_per_minute(facts.samples)
    if newest.due >= _LARGE_BACKLOG and slope is not None and slope >= _FAST_GROWTH_PER_MINUTE:
        yield HealthProblem(
            ProblemCode.BACKLOG_GROWS,
            Severity.WARNING,
            f"{newest.due:,} deliveries are due, and {slope:,.0f} more each minute.",
            _grows_since(facts.samples),
        )


def _grows_since(samples: Sequence[backlog.Sample]) -> datetime:
    """Return when least was due in the last hour, after which it became more."""
    least = min(reversed(samples), key=lambda each: each.due)
    return least.at


def _of_capacity(facts: Facts) -> Iterator[HealthProblem]:
    workers = facts.reports.alive(WORKER)
    capacity = sum(each.state.get("capacity", 0) for each in workers)
    is_waiting = bool(facts.samples) and facts.samples[-1].due >= _WAITING
    for endpoint_id, in_flight in facts.reports.in_flight_by_endpoint():
        if is_waiting and capacity and in_flight * 2 >= capacity:
            yield HealthProblem(
                ProblemCode.ENDPOINT_CROWDS,
                Severity.WARNING,
                f"One endpoint takes {in_flight / capacity:.0%} of what workers can send at once, "
                f"while {facts.samples[-1].due:,} deliveries are due.",
                None,
                endpoint_id,
                endpoint_id,
            )


def _of_retention(facts: Facts, up_since: datetime) -> Iterator[HealthProblem]:
    completed_at = facts.heartbeats.get(RETENTION, up_since)
    if facts.now - completed_at > _RETENTION_SILENCE and facts.now - up_since > _FIRST_RETENTION:
        yield HealthProblem(
            ProblemCode.RETENTION_SILENT,
            Severity.WARNING,
            "Retention has not completed for a day, so deliveries or payloads are kept for longer than their "
            "workspaces' settings say. The workers' log says why.",
            completed_at,
        )


def _of_indexes(facts: Facts) -> Iterator[HealthProblem]:
    since = facts.indexes_unfinished_since
    if since is not None and facts.now - since > _INDEXES_UNFINISHED:
        yield HealthProblem(
            ProblemCode.INDEXES_UNFINISHED,
            Severity.WARNING,
            "Indexes of the last upgrade were not all built, or those that they replace not dropped, so that "
            "the log is slow or takes more room than it needs. 'avra migrate' does it, or says why not.",
            since,
        )
