"""The RQ jobs. They carry no data: what is due stands in SQL."""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import cache

from flask import Flask
from sqlalchemy import Engine as Database

from webhooks_app.app import create_app
from webhooks_app.config import Settings
from webhooks_app.core import clock, failpoints
from webhooks_app.deliveries import recoveries, retention
from webhooks_app.endpoints import auto_disable, notices
from webhooks_app.extensions import writer
from webhooks_app.jobs import alarms
from webhooks_app.jobs.process import Stop
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.transport.sender import Sender
from webhooks_app.worker.engine import DeliveryEngine

log = logging.getLogger(__name__)

# After so long the other jobs have their turn; what is in flight goes on meanwhile.
RUN_SECONDS = 15


def deliver_due() -> None:
    """Delivers whatever is due. Any number of these, at any time, send each delivery once."""
    failpoints.hit("worker.dequeued")
    tally = engine().run(seconds=RUN_SECONDS, should_stop=Stop.requested)
    level = logging.INFO if tally.claimed else logging.DEBUG
    log.log(level, "delivered", extra={"claimed": tally.claimed, "recorded": tally.recorded})


def sweep() -> None:
    """The safety net, each 15 seconds: wakes for what a lost wake-up or a dead worker left behind.

    Then takes what steps are due towards endpoints that do nothing but fail.
    """
    wake_ups: WakeUps = _app().extensions["wake_ups"]
    wake_ups.now()
    settings, now = _settings(), clock.now()
    alarms.beat(_database(), now=now)
    auto_disable.run(_database(), after=settings.auto_disable_after, now=now)
    if settings.mail_server and notices.has_due_mail(_database(), now=now):
        wake_ups.mail()
    if recoveries.is_any_running(_database()):
        wake_ups.recover()


def send_mail() -> None:
    """Sends the announcements that are due by e-mail."""
    _aside("mail", _send_mail)


def recover() -> None:
    """Goes on with the recoveries that run; should this process die, the next sweep has it done again."""
    wake_ups: WakeUps = _app().extensions["wake_ups"]
    _aside("recover", lambda: recoveries.run(_database(), wake_ups, should_stop=lambda: Stop.requested()))


def expire() -> None:
    """Deletes, hourly, what is finished and older than its workspace keeps it."""
    _aside(
        "expire", lambda: retention.run(_database(), now=clock.now(), should_stop=lambda: Stop.requested())
    )


def _send_mail() -> None:
    settings = _settings()
    if settings.mail_server:
        notices.send_due(_database(), settings.mail_server, base_url=settings.base_url, now=clock.now())


def _aside(name: str, act: Callable[[], object]) -> None:
    """In a thread, one of each name: a mail server that hangs must not keep this worker from delivering.

    What it was at when the process ends is gone on with by a later job.
    """

    def run() -> None:
        try:
            act()
        except Exception:
            log.exception("job_failed", extra={"job": name})

    if all(thread.name != name for thread in threading.enumerate()):
        threading.Thread(target=run, name=name, daemon=True).start()


def _settings() -> Settings:
    settings: Settings = _app().extensions["settings"]
    return settings


@cache
def _app() -> Flask:
    # A power cut may cost the last moments of what workers wrote, so those deliveries are sent once more. The
    # web's commits, each of which is a promise, wait for the disk and take along everything before them.
    return create_app(waits_for_disk=False)


@cache
def _database() -> Database:
    with _app().app_context():
        return writer()


@cache
def engine() -> DeliveryEngine:
    """This process's engine; its connections outlive the job."""
    app, settings = _app(), _settings()
    return DeliveryEngine(
        database=_database(),
        sender=Sender(policy=settings.targets, ca_bundle=settings.ca_bundle, capacity=settings.in_flight),
        cipher=app.extensions["cipher"],
        wake_ups=app.extensions["wake_ups"],
        delays=settings.retry_delays,
        lease=timedelta(seconds=settings.lease_seconds),
    )
