"""How each process comes to report of itself, so that operators and metrics know of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from webhooks_app.config import Settings
from webhooks_app.db import engines
from webhooks_app.db.engines import Databases
from webhooks_app.monitoring.counters import ProcessCounters
from webhooks_app.monitoring.own_report import SCHEDULER
from webhooks_app.monitoring.reporter import Reporter

if TYPE_CHECKING:  # a scheduler does without it
    from webhooks_app.services import Services

Describe = Callable[[], Mapping[str, Any]]


@contextmanager
def reports_of(
    services: "Services",
    kind: str,
    describe: Describe = dict,
    *,
    act_after_report: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Report for this process while the block runs; `describe` adds to what each has to say.

    `act_after_report` is called after each report but the first.
    """

    def describe_all() -> dict[str, Any]:
        used, idle = services.write.pool_use()
        backoff = services.wake_ups.backoff
        failing = {"redis": backoff.problem_text, "redis_seconds": backoff.failing_seconds}
        refused = services.write.refusals.report()
        return {"pool_used": used, "pool_idle": idle, **failing, **refused, **describe()}

    def act(databases: Databases) -> None:
        try:
            act_after_report()
        finally:
            _act_for_all(databases)

    reporter = Reporter(services.databases, kind, services.counters, describe=describe_all, act_for_all=act)
    with _running(reporter):
        yield


@contextmanager
def reports_of_scheduler(settings: Settings, describe: Describe) -> Iterator[None]:
    """Report for a process that has no other use for the database while the block runs."""
    databases = engines.databases_of(engines.open_engine(settings.database_url, waits_for_disk=False))

    def describe_all() -> dict[str, Any]:
        return {**databases.write.refusals.report(), **describe()}

    with _running(Reporter(databases, SCHEDULER, ProcessCounters(), describe=describe_all)):
        yield


def _act_for_all(databases: Databases) -> None:
    """Count what waits, when it is this process's turn, and forget processes that are over.

    A scheduler leaves both to the others, as it has no tables loaded.
    """
    from webhooks_app.monitoring import backlog, reports

    if backlog.sample_if_due(databases):
        reports.delete_ended(databases.write)


@contextmanager
def _running(reporter: Reporter) -> Iterator[None]:
    reporter.start()
    try:
        yield
    finally:
        reporter.stop()
