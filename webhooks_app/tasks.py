"""The RQ jobs. They carry no data: what is due stands in SQL.

Their dotted names stand in Redis, also across an upgrade.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from webhooks_app import config
from webhooks_app.accounts import security_mail_runs
from webhooks_app.core import clock, failpoints
from webhooks_app.db import free_pages, index_builds
from webhooks_app.db.transient_errors import tolerate_unavailable_database
from webhooks_app.deliveries import recovery_runs, retention, traffic_ages
from webhooks_app.endpoints import auto_disable, notices
from webhooks_app.events import fan_out_runs, value_backfill
from webhooks_app.jobs import alarms, open_files
from webhooks_app.listeners import ending
from webhooks_app.services import Services, open_services
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.sender_limits import fit_open_files
from webhooks_app.worker.claimed_delivery import ClaimKey
from webhooks_app.worker.engine import DeliveryEngine
from webhooks_app.worker.engine_limits import DEFAULT_LIMITS, EngineLimits

log = logging.getLogger(__name__)

# After this long the other jobs get their turn; requests in flight continue meanwhile.
RUN_SECONDS = 15
# The names of threads of long jobs, which run beside the next jobs, begin with this.
THREAD_PREFIX = "job:"


@dataclass(slots=True, frozen=True)
class Context:
    """What the jobs of one process share: RQ hands a job its name and nothing else.

    `should_stop` returns whether the process has been asked to end.
    """

    services: Services
    engine: DeliveryEngine
    should_stop: Callable[[], bool] = lambda: False


_context: Context | None = None


def context() -> Context:
    """Return this process's context, opened by the first job or by the worker before it."""
    global _context
    if _context is None:
        # A power cut may cost the last moments of what workers wrote, so those deliveries are sent once more.
        # The web's commits, each of which is a promise, wait for the disk and take along all before them.
        services = open_services(config.read(), waits_for_disk=False)
        _context = Context(services, build_engine(services))
    return _context


def use_context(replacement: Context | None) -> None:
    """Have this process's jobs use `replacement`, or open a context of their own."""
    global _context
    _context = replacement


def unrecorded() -> frozenset[ClaimKey]:
    """Return what this process's engine has sent and not recorded; nothing where it has none."""
    return _context.engine.unrecorded if _context else frozenset()


def build_engine(services: Services, *, limits: EngineLimits = DEFAULT_LIMITS) -> DeliveryEngine:
    """Return an engine that keeps its connections from one job to the next."""
    settings = services.settings
    capacity, sender_limits = fit_open_files(settings.in_flight, open_files.limit())
    return DeliveryEngine(
        databases=services.databases,
        sender=Sender(
            policy=settings.targets, ca_bundle=settings.ca_bundle, capacity=capacity, limits=sender_limits
        ),
        cipher=services.cipher,
        wake_ups=services.wake_ups,
        delays=settings.retry_delays,
        lease=timedelta(seconds=settings.lease_seconds),
        limits=limits,
        counters=services.counters,
    )


def deliver_due() -> None:
    """Deliver whatever is due. Any number of these, at any time, send each delivery once."""
    failpoints.hit("worker.dequeued")
    result = context().engine.run(seconds=RUN_SECONDS, should_stop=context().should_stop)
    level = logging.INFO if result.claimed else logging.DEBUG
    log.log(level, "run_finished", extra={"claimed": result.claimed, "recorded": result.recorded})


def sweep() -> None:
    """Wake a worker for what a lost wake-up or a dead worker left behind; the safety net, each 15 seconds.

    Resume fan-outs that nobody works on any more, and end listeners that nobody asks for. Then warn about
    endpoints that only fail, and disable them.
    """
    with tolerate_unavailable_database(log, job="sweep"):
        _sweep()


def _sweep() -> None:
    services, now = context().services, clock.now()
    services.wake_ups.wake_worker()
    if fan_out_runs.is_any_left(services.read, now=now):
        _run_in_thread("fan_out", _fan_out)
    if value_backfill.is_due(services.read):
        _run_in_thread("index_values", _index_values)
    alarms.record_heartbeat(services.write, now=now)
    ending.end_expired(services.databases, now=now)
    auto_disable.warn_and_disable(services.databases, after=services.settings.auto_disable_after, now=now)
    if services.settings.mail_server and _is_mail_due(services, now):
        services.wake_ups.enqueue_mail()
    if recovery_runs.is_any_running(services.read):
        services.wake_ups.enqueue_recovery()


def _is_mail_due(services: Services, now: datetime) -> bool:
    read = services.read
    return notices.has_due_mail(read, now=now) or security_mail_runs.has_due(read, now=now)


def send_mail() -> None:
    """Send the notices that are due by e-mail, and what people are told of changes of their accounts."""
    _run_in_thread("mail", _send_mail)


def recover() -> None:
    """Continue the running recoveries; if this process dies, the next sweep enqueues this again."""
    _run_in_thread("recover", _recover)


def expire() -> None:
    """Delete, hourly, what is finished and older than its workspace keeps it; build and drop indexes, too."""
    _run_in_thread("expire", _expire)
    # In two threads, as a build waits for every older transaction.
    _run_in_thread("index_builds", _build_indexes)


def _send_mail() -> None:
    services = context().services
    settings = services.settings
    server, base_url = settings.mail_server, settings.base_url
    if server:
        security_mail_runs.send_due(
            services.databases,
            server,
            base_url=base_url,
            takes_passwords=settings.password_log_in,
            now=clock.now(),
        )
        notices.send_due(services.databases, server, base_url=base_url, now=clock.now())


def _fan_out() -> None:
    services = context().services
    fan_out_runs.run_all(services.databases, services.wake_ups, should_stop=context().should_stop)


def _index_values() -> None:
    value_backfill.run_all(
        context().services.databases,
        context().services.catalog.indexed_values,  # once after an upgrade; workers use it for nothing else
        should_stop=context().should_stop,
    )


def _recover() -> None:
    services = context().services
    recovery_runs.run_all(services.databases, services.wake_ups, should_stop=context().should_stop)


def _expire() -> None:
    databases, now = context().services.databases, clock.now()
    traffic_ages.roll_up(databases.write, now=now, should_stop=context().should_stop)
    try:
        retention.delete_expired(databases, now=now, should_stop=context().should_stop)
    finally:  # what one workspace's failure left has no part in it
        free_pages.give_back(databases.read, databases.write, should_stop=context().should_stop)


def _build_indexes() -> None:
    write = context().services.write
    index_builds.bring_up_to_date(write, now=clock.now(), should_stop=context().should_stop)


def _run_in_thread(name: str, act: Callable[[], object]) -> None:
    """Run `act` in a thread, unless one of this name runs: a mail server that hangs must not stop deliveries.

    A later job finishes what is unfinished when the process ends.
    """

    def run() -> None:
        try:
            with tolerate_unavailable_database(log, job=name):
                act()
        except Exception:
            log.exception("job_failed", extra={"job": name})

    thread_name = f"{THREAD_PREFIX}{name}"
    if all(thread.name != thread_name for thread in threading.enumerate()):
        threading.Thread(target=run, name=thread_name, daemon=True).start()
