"""The state of the whole platform, as health checks, metrics and the operators' page tell it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from webhooks_app.core import clock
from webhooks_app.db import disk_space, schema_version
from webhooks_app.db.schema_version import SchemaAge
from webhooks_app.jobs import alarms
from webhooks_app.monitoring import facts, problems, write_problems
from webhooks_app.monitoring.facts import Facts
from webhooks_app.monitoring.problem_codes import HealthProblem, ProblemCode, Severity
from webhooks_app.services import Services

_SCHEMA: dict[SchemaAge | None, HealthProblem] = {
    None: HealthProblem(ProblemCode.DATABASE_SILENT, Severity.FAILING, "The database does not answer."),
    SchemaAge.OLDER: HealthProblem(
        ProblemCode.SCHEMA_OLD,
        Severity.FAILING,
        "The database's schema is older than this code needs. Run `avra migrate`.",
    ),
    SchemaAge.NEWER: HealthProblem(
        ProblemCode.SCHEMA_NEW,
        Severity.WARNING,
        "The database's schema is newer than this process. Restart it, so that it runs the new version.",
    ),
}
_NO_WRITES = frozenset({ProblemCode.DISK, ProblemCode.DATABASE_REFUSES})
# Each of these silences the sweep, which need not be told of besides.
_SILENCE_SWEEP = frozenset(
    {ProblemCode.NO_WORKER, ProblemCode.NO_SCHEDULER, ProblemCode.SCHEDULER_IDLE, ProblemCode.WORKER_HANGS}
)


@dataclass(frozen=True, slots=True)
class PlatformHealth:
    """`facts` is None where the database does not answer; `longest_overdue`: see `alarms.overdue`."""

    at: datetime
    facts: Facts | None
    overdue: timedelta | None
    redis_problem: str | None
    problems: Sequence[HealthProblem]

    @property
    def is_failing(self) -> bool:
        return any(each.severity is Severity.FAILING for each in self.problems)

    def texts(self, severity: Severity) -> list[str]:
        return [each.text for each in self.problems if each.severity is severity]


def read(services: Services) -> PlatformHealth:
    """Ask the database and Redis how they and all processes do."""
    now = clock.now()
    known, overdue, schema = _read_database(services, now)
    redis_problem = services.wake_ups.redis_problem()
    of_writes = _of_writes(services, now)
    of_all = problems.find(known, up_since=services.started_at) if known is not None else []
    found = list(of_writes)
    if redis_problem:
        is_refusing = any(each.code in _NO_WRITES for each in (*of_writes, *of_all))
        is_accepting = known is not None and not is_refusing
        text = f"{redis_problem}." + (" Events are still accepted." if is_accepting else "")
        failing_seconds = services.wake_ups.backoff.failing_seconds or 0.0
        found.append(
            HealthProblem(ProblemCode.REDIS, Severity.FAILING, text, now - timedelta(seconds=failing_seconds))
        )
    found += [_SCHEMA[schema]] if schema in _SCHEMA else []
    if known is not None:
        found += alarms.problems(overdue, known.swept_at, now=now, up_since=services.started_at)
        found += [each for each in of_all if not (of_writes and each.code is ProblemCode.DATABASE_REFUSES)]
    if any(each.code in _SILENCE_SWEEP for each in found):
        found = [each for each in found if each.code is not ProblemCode.SWEEP_SILENT]
    dated = services.problem_memory.with_since(found, now=now)
    worst_first = sorted(dated, key=lambda each: each.severity is not Severity.FAILING)
    return PlatformHealth(now, known, overdue, redis_problem, worst_first)


def _of_writes(services: Services, now: datetime) -> list[HealthProblem]:
    """Return why this process cannot write, or soon will not; what it sees of the disk says most."""
    if of_disk := disk_space.low_space_problem(services.settings.database_url):
        return [HealthProblem(ProblemCode.DISK, Severity.FAILING, of_disk)]
    return write_problems.of_own(services.write.refusals.lasting(), now=now)


def _read_database(
    services: Services, now: datetime
) -> tuple[Facts | None, timedelta | None, SchemaAge | None]:
    """Return what the database says; all is None where it says nothing."""
    try:
        with services.read.connect() as connection:
            schema = schema_version.read_age(connection)
            if schema is SchemaAge.OLDER:  # what else is asked for may not be there
                return None, None, schema
            return facts.read(connection), alarms.longest_overdue(connection, now), schema
    except SQLAlchemyError:
        return None, None, None
