"""What is wrong with the processes: none of a kind is there, one hangs, was lost, or runs old code. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from webhooks_app.monitoring import lost_processes
from webhooks_app.monitoring.facts import Facts
from webhooks_app.monitoring.own_report import SCHEDULER, WEB, WORKER
from webhooks_app.monitoring.problem_codes import HealthProblem, ProblemCode, Severity
from webhooks_app.monitoring.reports import SILENT_AFTER, Process

# A worker or scheduler whose process lives, but which did nothing for so long, hangs.
HANGS_AFTER_SECONDS = 45.0
# A sweep that ran lately proves that a worker and a scheduler work, though neither may report: those of the
# version before, in the middle of an upgrade, do not.
_PROVES_LIFE = timedelta(seconds=60)


def of_workers(facts: Facts, up_since: datetime) -> Iterator[HealthProblem]:
    alive = facts.reports.alive(WORKER)
    if not alive:
        if (since := _absent_since(facts, WORKER, up_since)) is not None:
            yield HealthProblem(
                ProblemCode.NO_WORKER,
                Severity.FAILING,
                "No worker is running, so nothing is delivered. Start `avra worker`.",
                since,
                _last_of(facts, WORKER),
            )
        return
    hanging = [each for each in alive if each.state.get("silent_seconds", 0.0) > HANGS_AFTER_SECONDS]
    for each in hanging:
        silent = timedelta(seconds=each.state["silent_seconds"])
        yield HealthProblem(
            ProblemCode.WORKER_HANGS,
            Severity.FAILING if len(hanging) == len(alive) else Severity.WARNING,
            "A worker's process lives, but delivers nothing and takes no jobs. Restart it.",
            each.reported_at - silent,
            each.name,
        )


def of_schedulers(facts: Facts, up_since: datetime) -> Iterator[HealthProblem]:
    alive = facts.reports.alive(SCHEDULER)
    if not alive:
        if (since := _absent_since(facts, SCHEDULER, up_since)) is not None:
            yield HealthProblem(
                ProblemCode.NO_SCHEDULER,
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
        yield HealthProblem(
            ProblemCode.SCHEDULER_IDLE,
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


_LOST = {WEB: ProblemCode.WEB_LOST, WORKER: ProblemCode.WORKER_LOST, SCHEDULER: ProblemCode.SCHEDULER_LOST}


def of_losses(facts: Facts) -> Iterator[HealthProblem]:
    """Tell of lost processes beside which others of their kind work."""
    for each in lost_processes.find(facts.reports):
        if facts.reports.alive(each.kind):
            yield HealthProblem(
                _LOST[each.kind],
                Severity.WARNING,
                f"A {each.kind} process stopped reporting, and none has taken its place.",
                each.reported_at,
                each.name,
            )


def of_old_code(facts: Facts) -> Iterator[HealthProblem]:
    """Tell of webs and workers that cannot read all that this code may write. Schedulers read no rows."""
    old = [each for kind in (WEB, WORKER) for each in facts.reports.alive(kind) if not each.reads_all]
    if old:
        yield HealthProblem(
            ProblemCode.PROCESS_OLD,
            Severity.WARNING,
            "Some processes run a version before, which cannot read all that this one may store. While they "
            "run, nothing new is stored so, but payloads that are packed already such a process may send as "
            "they are stored. Restart them on this version.",
            None,
            ", ".join(f"{each.kind} {each.name} runs {each.version}" for each in old),
        )
