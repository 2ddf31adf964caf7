"""Retention deletes what is final, under traffic and replays, while its process is killed again and again."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import select, text, update

from faults import deleted_rows
from faults.platform_processes import LONG_LEASE
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from webhooks_app.db.models import FINAL_STATES, Delivery, Workspace
from webhooks_app.deliveries.replays import UnknownDelivery
from webhooks_app.extensions import db, services

RETENTION_DAYS = 90  # of a new workspace
# With this probability retention dies after a batch's deletion and before its commit.
DEATHS = "retention.deleted=0.03"
FEWEST_DEATHS, FEWEST_HELD, FEWEST_DELETED, FEWEST_REPLAYS = 3, 100, 20, 20
# Retention runs at least so long, and on until enough is held or deleted and it has died often enough, longer
# on a slow machine.
SHORTEST_SECONDS, LONGEST_SECONDS = 4, 60


@scenario("24: retention, killed half-way again and again, takes nothing that is not final")
def retention(system: System, report: Report, options: Options) -> None:
    """Run retention as if everything were 90 days older, so that whatever is final is deleted at once."""
    system.restart(**LONG_LEASE, WEBHOOKS_RETRY_DELAYS="0.2,0.3,0.5,0.5")
    report.schedule_length = 4
    held = system.endpoint("ok/held")
    for path in ("ok/a", f"mix/{options.seed}/a", "always/500/a", "always/slow-500-200/a"):
        system.endpoint(path)
    system.disable(held)
    # The checker compares payloads with what arrived.
    with system.app.app_context(), services().write.begin() as connection:
        connection.execute(update(Workspace).values(payload_days=None))
    system.keep_deleted_rows()
    producer = system.produce(rate=50, seconds=2 * LONGEST_SECONDS, seed=options.seed)
    replayer = threading.Thread(target=_replay, args=(system, time.monotonic() + 7))
    replayer.start()
    deaths = _run_retention(
        system, options.seed, lambda: system.states_of(held).get("held", 0) >= FEWEST_HELD
    )
    report.figures["held"] = held_count = system.enable(held, send_held=True)
    deaths += _run_retention(
        system,
        f"{options.seed}-2",
        lambda: min(_deleted_counts(system).values()) >= FEWEST_DELETED,
        fewest_deaths=FEWEST_DEATHS - deaths,
    )
    system.fork_client.kill(producer)
    replayer.join()
    report.figures |= {"settled after s": system.settle(), "killed": deaths}
    report.figures["replays"] = replays = system.audit_count("delivery.replay")
    report.require(replays >= FEWEST_REPLAYS, f"only {replays} deliveries were replayed meanwhile")
    _require_deletions(system, report)
    report.require(held_count >= FEWEST_HELD, f"only {held_count} deliveries were held meanwhile")
    report.require(deaths >= FEWEST_DEATHS, f"retention died only {deaths} times")


def _run_retention(
    system: System, seed: str, is_enough: Callable[[], bool], *, fewest_deaths: int = 0
) -> int:
    """Run retention, start it again whenever it has died, and return how often it died."""
    deaths, pid, began = 0, 0, time.monotonic()
    while (
        (lasted := time.monotonic() - began) < SHORTEST_SECONDS
        or deaths + 1 < fewest_deaths  # the last is ours
        or not is_enough()
    ):
        if lasted > LONGEST_SECONDS:
            break  # the scenario then reports that it was not enough
        if not system.fork_client.is_alive(pid):
            deaths += pid > 0
            pid = system.fork_client.call(
                "faults.entry_points:run_retention",
                RETENTION_DAYS,
                name="retention",
                env=system.environment | {"FAILPOINTS": DEATHS, "FAILPOINT_SEED": f"{seed}-{deaths}"},
            )
        time.sleep(0.02)
    system.fork_client.kill(pid)
    return deaths + 1


def _replay(system: System, until: float) -> None:
    """Replay deliveries that are final and about to be deleted."""
    final = select(Delivery.id).where(Delivery.state.in_(FINAL_STATES)).order_by(Delivery.id.desc()).limit(3)
    while time.monotonic() < until:
        with system.app.app_context(), db.engine.connect() as connection:
            found = connection.scalars(final.where(Delivery.workspace_id == system.workspace_id)).all()
        for delivery_id in found:
            with suppress(UnknownDelivery):
                system.replay(delivery_id)
        time.sleep(0.01)


def _require_deletions(system: System, report: Report) -> None:
    with system.app.app_context(), db.engine.connect() as connection:
        report.problems += deleted_rows.deleted_too_early(connection)[:5]
    for table, count in _deleted_counts(system).items():
        report.figures[f"deleted {table}"] = count
        report.require(count >= FEWEST_DELETED, f"only {count} {table} were deleted")


def _deleted_counts(system: System) -> dict[str, int]:
    with system.app.app_context(), db.engine.connect() as connection:
        return {
            table: connection.execute(text(f"SELECT count(*) FROM deleted_{table}")).scalar_one()
            for table in ("events", "deliveries", "attempts")
        }
