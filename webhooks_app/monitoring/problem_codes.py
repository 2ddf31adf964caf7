"""What a problem of the platform is; docs/operations.md has a section for each code."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    FAILING = "failing"  # somebody has to do something now
    WARNING = "warning"  # it works, but not as it should


class ProblemCode(StrEnum):
    """Each has a section in docs/operations.md."""

    DATABASE_SILENT = "database_silent"
    DATABASE_REFUSES = "database_refuses"
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
    PROCESS_OLD = "process_old"
    SWEEP_SILENT = "sweep_silent"
    OVERDUE = "overdue"
    BACKLOG_GROWS = "backlog_grows"
    ENDPOINT_CROWDS = "endpoint_crowds"
    CLOCK_SKEW = "clock_skew"
    RETENTION_SILENT = "retention_silent"
    INDEXES_UNFINISHED = "indexes_unfinished"


@dataclass(frozen=True, slots=True)
class HealthProblem:
    """`text` is for everybody, `detail` for operators only: it may name hosts and endpoints.

    `since` is None where the facts do not tell it, as `ProblemMemory` then does; `endpoint_id` is set where
    the problem is an endpoint's.
    """

    code: ProblemCode
    severity: Severity
    text: str
    since: datetime | None = None
    detail: str = ""
    endpoint_id: str | None = None
