"""What whoever runs the platform does to it under traffic: retention deletes, and a new release comes in."""

import random
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.exc import NoResultFound

from faults import graveyard, journal
from faults.harness import ROOT, Group, free_ports, wait_for
from faults.processes import PATIENT, WEB_WORKERS
from faults.registry import Options, scenario
from faults.reports import Report
from faults.stack import Stack
from webhooks_app.extensions import db
from webhooks_app.models import FINAL_STATES, Delivery

RETENTION_DAYS = 30  # of a new workspace
# Of each batch that retention deletes, that its process dies before the commit.
DEATH_CHANCE = 0.05
FEWEST_DEATHS = 5


@scenario("24: retention, killed half-way again and again, takes nothing that is not final")
def retention(stack: Stack, report: Report, options: Options) -> None:
    """It works as if everything were 30 days older, so that what is finished goes at once."""
    stack.restart(**PATIENT, WEBHOOKS_RETRY_DELAYS="0.2,0.3,0.5,0.5")
    report.schedule_length = 4
    held = stack.endpoint("ok/held")
    for path in ("ok/a", f"mix/{options.seed}/a", "always/500/a", "always/slow-500-200/a"):
        stack.endpoint(path)
    stack.disable(held)
    stack.open_graveyard()
    producer = stack.produce(rate=50, seconds=7, seed=options.seed)
    replayer = threading.Thread(target=_replay, args=(stack, time.monotonic() + 7))
    replayer.start()
    deaths = _retain(stack, options.seed, seconds=4)
    report.figures["held"] = had = stack.enable(held, send_held=True)
    deaths += _retain(stack, f"{options.seed}-2", seconds=4)
    replayer.join()
    stack.nursery.wait(producer, 30)
    report.figures |= {"settled after s": stack.settle(), "killed": deaths}
    report.figures["replays"] = stack.audit_count("delivery.replay")
    _judge(stack, report)
    report.require(had >= 100, f"only {had} deliveries were held meanwhile")
    report.require(deaths >= FEWEST_DEATHS, f"it died only {deaths} times")


def _retain(stack: Stack, seed: str, *, seconds: float) -> int:
    """Starts it again whenever it has died; how often that was."""
    deaths, until, pid = 0, time.monotonic() + seconds, 0
    while time.monotonic() < until:
        if not stack.nursery.is_alive(pid):
            deaths += pid > 0
            pid = stack.nursery.call(
                "faults.programs:retain",
                *(RETENTION_DAYS, f"{seed}-{deaths}", DEATH_CHANCE),
                name="retention",
                env=stack.environment,
            )
        time.sleep(0.02)
    stack.nursery.kill(pid)
    return deaths + 1


def _replay(stack: Stack, until: float) -> None:
    """Replays what is final while it is about to be deleted."""
    final = select(Delivery.id).where(Delivery.state.in_(FINAL_STATES)).order_by(Delivery.id.desc()).limit(3)
    while time.monotonic() < until:
        with stack.app.app_context(), db.engine.connect() as connection:
            found = connection.scalars(final.where(Delivery.workspace_id == stack.workspace_id)).all()
        for delivery_id in found:
            with suppress(NoResultFound):
                stack.replay(delivery_id)
        time.sleep(0.01)


def _judge(stack: Stack, report: Report) -> None:
    with stack.app.app_context(), db.engine.connect() as connection:
        report.problems += graveyard.unripe(connection)[:5]
        for table in ("events", "deliveries", "attempts"):
            count = connection.execute(text(f"SELECT count(*) FROM buried_{table}")).scalar_one()
            report.figures[f"deleted {table}"] = count
            report.require(count >= 20, f"only {count} {table} were deleted")
