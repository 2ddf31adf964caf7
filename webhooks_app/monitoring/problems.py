"""What is wrong with the platform, in sentences, and since when. Pure.

docs/operations.md has a section for each code, on what it means and what to do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from webhooks_app.monitoring import backlog, losses, reports
from webhooks_app.monitoring.facts import RETENTION, Facts
from webhooks_app.monitoring.reports import SCHEDULER, SILENT_AFTER, WEB, WORKER, Process

# A worker or scheduler whose process lives, but which did nothing for so long, hangs.
HANGS_AFTER_SECONDS = 45.0
# A sweep that ran lately proves that a worker and a scheduler work, though neither may report: those of the
# version before, in the middle of an upgrade, do not.
_PROVES_LIFE = timedelta(seconds=60)
LARGEST_CLOCK_DIFFERENCE = timedelta(seconds=5)
# A lease ends by the clock of whoever claims next.
_CLOCK_IS_WRONG = timedelta(seconds=60)
# Retention runs each hour; one that begins with very much takes longer.
_RETENTION_SILENCE = timedelta(days=1)
# So long after a start the first run has been due.
_FIRST_RETENTION = timedelta(hours=2)
_LARGE_BACKLOG = 1_000
_FAST_GROWTH_PER_MINUTE = 10
# Where so much waits that slots are worth something.
_WAITING = 100


class Severity(StrEnum):
    FAILING = "failing"  # somebody has to do something now
    WARNING = "warning"  # it works, but not as it should


class Code(StrEnum):
    """Each has a section in docs/operations.md."""

    DATABASE_SILENT = "database_silent"
    SCHEMA_OLD = "schema_old"
    SCHEMA_NEW = "schema_new"
    DISK = "disk"
    REDIS = "redis"
    REDIS_FAILS_PROCESS = "redis_fails_process"
    NO_WORKER = "no_worker"
    WORKER_LOST = "worker_lost"
    WORKER_HANGS = "worker_hangs"
    NO_SCHEDULER = "no_scheduler"
    SCHEDULER_LOST = "scheduler_lost"
    SCHEDULER_IDLE = "scheduler_idle"
    WEB_LOST = "web_lost"
    SWEEP_SILENT = "sweep_silent"
    OVERDUE = "overdue"
    BACKLOG_GROWS = "backlog_grows"
    ENDPOINT_CROWDS = "endpoint_crowds"
    CLOCK_SKEW = "clock_skew"
    RETENTION_SILENT = "retention_silent"


@dataclass(frozen=True, slots=True)
class Problem:
    """`text` is for everybody, `detail` for operators only: it may name hosts and endpoints.

    `since` is None where it is not known; `endpoint_id` is set where the problem is an endpoint's.
    """

    code: Code
    severity: Severity
    text: str
    since: datetime | None = None
    detail: str = ""
    endpoint_id: str | None = None


def find(facts: Facts, *, up_since: datetime) -> list[Problem]:
    """Return what the facts say is wrong, the worst first.

    `up_since` is when whoever asks was started: a new platform is given time to report.
    """
    found = [
        *_of_workers(facts, up_since),
        *_of_schedulers(facts, up_since),
        *_of_losses(facts),
        *_of_redis(facts),
        *_of_clocks(facts),
        *_of_backlog(facts),
        *_of_capacity(facts),
        *_of_retention(facts, up_since),
    ]
    return sorted(found, key=lambda each: each.severity is not Severity.FAILING)


def _of_workers(facts: Facts, up_since: datetime) -> Iterator[Problem]:
    alive = facts.reports.alive(WORKER)
    if not alive:
        if (since := _absent_since(facts, WORKER, up_since)) is not None:
            yield Problem(
                Code.NO_WORKER,
                Severity.FAILING,
                "No worker is running, so nothing is delivered. Start `avra worker`.",
                since,
                _last_of(facts, WORKER),
            )
        return
    hanging = [each for each in alive if each.state.get("silent_seconds", 0.0) > HANGS_AFTER_SECONDS]
    for each in hanging:
        silent = timedelta(seconds=each.state["silent_seconds"])
        yield Problem(
            Code.WORKER_HANGS,
            Severity.FAILING if len(hanging) == len(alive) else Severity.WARNING,
            "A worker's process lives, but delivers nothing and takes no jobs. Restart it.",
            each.reported_at - silent,
            each.name,
        )


def _of_schedulers(facts: Facts, up_since: datetime) -> Iterator[Problem]:
    alive = facts.reports.alive(SCHEDULER)
    if not alive:
        if (since := _absent_since(facts, SCHEDULER, up_since)) is not None:
            yield Problem(
                Code.NO_SCHEDULER,
                Severity.FAILING,
                "No scheduler is running, so retries may be late. Start `avra scheduler`.",
                since,
                _last_of(facts, SCHEDULER),
            )
        return
    idle = [_idle(each) for each in alive]
    if min(idle) > timedelta(seconds=HANGS_AFTER_SECONDS):
        reasons = [str(each.state["redis"]) for each in alive if each.state.get("redis")]
        because = f": {reasons[0]}." if reasons else "."
        yield Problem(
            Code.SCHEDULER_IDLE,
            Severity.FAILING,
            f"The scheduler runs, but does nothing, so retries may be late{because}",
            facts.now - min(idle),
            ", ".join(each.name for each in alive),
        )


def _idle(scheduler: Process) -> timedelta:
    """Return for how long it had not worked when it reported; none has worked before it was started."""
    seconds = scheduler.state.get("idle_seconds")
    if seconds is None:
        return scheduler.reported_at - scheduler.began_at
    return timedelta(seconds=seconds)


def _absent_since(facts: Facts, kind: str, up_since: datetime) -> datetime | None:
    """Return since when no process of that kind is there; None where there may be one all the same."""
    swept_at = facts.swept_at
    if swept_at is not None and facts.now - swept_at < _PROVES_LIFE and not _has_reported(facts, kind):
        return None
    last = [each.ended_at or each.reported_at for each in facts.reports.processes if each.kind == kind]
    since = max(last, default=up_since)
    return since if facts.now - max(since, up_since) > SILENT_AFTER else None


def _has_reported(facts: Facts, kind: str) -> bool:
    return any(each.kind == kind for each in facts.reports.processes)


def _last_of(facts: Facts, kind: str) -> str:
    """Return who was last heard of. The newest report comes first."""
    last = next((each for each in facts.reports.processes if each.kind == kind), None)
    if last is None:
        return "None has ever reported."
    return f"{last.name} was the last, and {'ended' if last.ended_at else 'stopped reporting'}."


_LOST = {WEB: Code.WEB_LOST, WORKER: Code.WORKER_LOST, SCHEDULER: Code.SCHEDULER_LOST}


def _of_losses(facts: Facts) -> Iterator[Problem]:
    """Tell of lost processes beside which others of their kind work."""
    for each in losses.find(facts.reports):
        if facts.reports.alive(each.kind):
            yield Problem(
                _LOST[each.kind],
                Severity.WARNING,
                f"A {each.kind} process stopped reporting, and none has taken its place.",
                each.reported_at,
                each.name,
            )


def _of_redis(facts: Facts) -> Iterator[Problem]:
    failing = [each for each in facts.reports.alive(WORKER) if each.state.get("redis")]
    if failing:
        yield Problem(
            Code.REDIS_FAILS_PROCESS,
            Severity.FAILING,
            f"Workers cannot use Redis, so deliveries may be late: {failing[0].state['redis']}.",
            None,
            ", ".join(each.name for each in failing),
        )


def _of_clocks(facts: Facts) -> Iterator[Problem]:
    alive = [each for kind in reports.KINDS for each in facts.reports.alive(kind)]
    by_host = {each.host: timedelta(milliseconds=each.clock_ahead_ms) for each in alive}
    for host, ahead in sorted(by_host.items()):
        if abs(ahead) > LARGEST_CLOCK_DIFFERENCE:
            way = "ahead of" if ahead > timedelta(0) else "behind"
            yield Problem(
                Code.CLOCK_SKEW,
                Severity.FAILING if abs(ahead) > _CLOCK_IS_WRONG else Severity.WARNING,
                f"A host's clock is {abs(ahead).total_seconds():,.0f} s {way} the database's. "
                "Set its time by NTP: leases, retries and signatures depend on it.",
                None,
                host,
            )


def _of_backlog(facts: Facts) -> Iterator[Problem]:
    if not facts.samples:
        return
    newest, slope = facts.samples[-1], backlog.slope_per_minute(facts.samples)
    if newest.due >= _LARGE_BACKLOG and slope is not None and slope >= _FAST_GROWTH_PER_MINUTE:
        yield Problem(
            Code.BACKLOG_GROWS,
            Severity.WARNING,
            f"{newest.due:,} deliveries are due, and {slope:,.0f} more each minute.",
            _grows_since(facts.samples),
        )


def _grows_since(samples: Sequence[backlog.Sample]) -> datetime:
    """Return when least was due in the last hour, after which it became more."""
    least = min(reversed(samples), key=lambda each: each.due)
    return least.at


def _of_capacity(facts: Facts) -> Iterator[Problem]:
    workers = facts.reports.alive(WORKER)
    capacity = sum(each.state.get("capacity", 0) for each in workers)
    is_waiting = bool(facts.samples) and facts.samples[-1].due >= _WAITING
    for endpoint_id, in_flight in facts.reports.in_flight_by_endpoint():
        if is_waiting and capacity and in_flight * 2 >= capacity:
            yield Problem(
                Code.ENDPOINT_CROWDS,
                Severity.WARNING,
                f"One endpoint takes {in_flight / capacity:.0%} of what workers can send at once, "
                f"while {facts.samples[-1].due:,} deliveries are due.",
                None,
                endpoint_id,
                endpoint_id,
            )


def _of_retention(facts: Facts, up_since: datetime) -> Iterator[Problem]:
    completed_at = facts.heartbeats.get(RETENTION, up_since)
    if facts.now - completed_at > _RETENTION_SILENCE and facts.now - up_since > _FIRST_RETENTION:
        yield Problem(
            Code.RETENTION_SILENT,
            Severity.WARNING,
            "Retention has not come to its end for a day, so that deliveries or payloads are kept for longer "
            "than their workspaces say. The log of the workers says why.",
            completed_at,
        )
