"""An app's outbox whose relays are killed, while the app is killed too and the platform goes away."""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy import select

from faults import outbox_app
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import WaitTimeout, wait_for
from webhooks_app.core import json_parsing
from webhooks_app.db.models import Event
from webhooks_app.extensions import db

KILLS = 100
# Fewer tell nothing, so that on a slow machine there are more kills.
ENOUGH_ORDERS = 20
RELAYS = 2
# From the start of a relay to its end; it has handed over its first batch after some tens of milliseconds.
LIVES_SECONDS = (0.05, 1.0)
# Of the kills of a relay, so many also end every web process.
WEB_KILLED = 0.1
_RELAY = (
    *("run", "--lease-seconds", "1", "--send-seconds", "0.5", "--batch", "10", "--poll-seconds", "0.02"),
)


@dataclass
class _Processes:
    """The app and its relays, each of which is started anew whenever it is gone."""

    system: System
    url: str
    seed: str
    stop_file: Path
    app: int = 0
    apps: int = 0
    relays: dict[int, float] = field(default_factory=dict)  # by process id, when each is killed
    kills: int = 0

    def ensure_app(self) -> None:
        if not self.system.fork_client.is_alive(self.app):
            self.apps += 1
            self.app = self.system.fork_client.call(
                "faults.outbox_app:produce",
                *(self.url, f"{self.seed}-{self.apps}", str(self.stop_file)),
                name="outbox-app",
                env={},
            )

    def start_relay(self) -> int:
        environ = {
            "AVRA_OUTBOX_DATABASE": self.url,
            "AVRA_URL": self.system.base_url,
            "AVRA_TOKEN": self.system.token,
        }
        return self.system.fork_client.call("faults.outbox_app:relay", *_RELAY, name="relay", env=environ)

    def drain(self) -> None:
        """Stop the app, and let the relays hand over what is left; what then remains is to be judged."""
        self.stop_file.touch()
        self.system.fork_client.wait(self.app, 60)
        self.relays[self.start_relay()] = 0.0
        with suppress(WaitTimeout):
            wait_for(lambda: not outbox_app.states(self.url), 60, "an empty outbox")

    def kill_all(self) -> None:
        for pid in (self.app, *self.relays):
            self.system.fork_client.kill(pid)
        self.stop_file.unlink(missing_ok=True)


@scenario("35: an app's outbox, whose relays are killed at random, with the app and the web now and then")
def outbox(system: System, report: Report, options: Options) -> None:
    """Have every committed event accepted exactly once, and none that was rolled back."""
    system.endpoint("ok/a")
    with _app_database(system) as url:
        outbox_app.create_tables(url)
        processes = _Processes(system, url, f"shop-{options.seed}", system.folder / "outbox.stop")
        try:
            rng = random.Random(options.seed)
            claimed, unrecorded = _kill_relays(processes, rng, min(KILLS, options.kills))
            processes.drain()
        finally:
            processes.kill_all()
        _judge(system, report, url)
    report.figures |= {
        "relays killed": processes.kills,
        "apps killed": processes.apps - 1,
        "rows claimed at kills": claimed,
        "of them accepted and not recorded": unrecorded,
        "settled after s": system.settle(),
    }


def _kill_relays(processes: _Processes, rng: random.Random, kills: int) -> tuple[int, int]:
    """Kill relays so often at least; return how many rows they had claimed, and how many were accepted."""
    system, claimed, unrecorded = processes.system, 0, 0
    while processes.kills < kills or len(outbox_app.orders(processes.url)) < ENOUGH_ORDERS:
        processes.ensure_app()
        while len(processes.relays) < RELAYS:
            processes.relays[processes.start_relay()] = time.monotonic() + rng.uniform(*LIVES_SECONDS)
        pid, ends_at = min(processes.relays.items(), key=lambda each: each[1])
        time.sleep(max(0.0, ends_at - time.monotonic()))
        system.fork_client.kill(pid)
        del processes.relays[pid]
        processes.kills += 1
        left = outbox_app.claimed(processes.url)
        claimed, unrecorded = claimed + len(left), unrecorded + len(_accepted(system, left))
        if rng.random() < WEB_KILLED:
            system.note_claims()
            system.web.kill()
            system.ensure_running()
    return claimed, unrecorded


def _judge(system: System, report: Report, url: str) -> None:
    committed = outbox_app.orders(url)
    expected = {
        name for order_id, events in committed.items() for name in outbox_app.event_names(order_id, events)
    }
    found = Counter(_names(system))
    doubled = [name for name, count in found.items() if count > 1]
    left = outbox_app.states(url)
    report.figures |= {"orders committed": len(committed), "their events": len(expected)}
    report.require(not expected - set(found), f"lost: {sorted(expected - set(found))[:5]}")
    report.require(not doubled, f"doubled: {doubled[:5]}")
    report.require(not set(found) - expected, f"rolled back: {sorted(set(found) - expected)[:5]}")
    report.require(not left, f"left in the outbox: {left}")


def _names(system: System) -> list[str]:
    """Return what distinguishes each event of this scenario's workspace."""
    bodies = select(Event.body).where(Event.workspace_id == system.workspace_id)
    with system.app.app_context(), db.engine.connect() as connection:
        return [json_parsing.parse(bytes(body))["data"]["batch_id"] for body in connection.scalars(bodies)]


def _accepted(system: System, keys: list[str]) -> list[str]:
    """Return those of the keys that the platform has an event of."""
    where = Event.workspace_id == system.workspace_id, Event.idempotency_key.in_(keys)
    with system.app.app_context(), db.engine.connect() as connection:
        return list(connection.scalars(select(Event.id).where(*where)))


@contextmanager
def _app_database(system: System) -> Iterator[str]:
    """Yield the URL of an empty database of the app's own, of the platform's kind.

    Or of the one that TEST_MYSQL_URL names, whose orders and outbox are dropped.
    """
    if url := os.environ.get("TEST_MYSQL_URL"):
        outbox_app.drop_tables(url)
        yield url
        return
    name = f"outbox_app_{system.scenario_number}"
    if system.database.kind == "sqlite":
        path = system.folder / f"{name}.db"
        path.touch()
        yield f"sqlite:///{path}"
        return
    _recreate(system, name, f"CREATE DATABASE {name}")
    head, _, query = system.database.url.partition("?")
    yield f"{head.rpartition('/')[0]}/{name}?{query}"
    _recreate(system, name)


def _recreate(system: System, name: str, *then: str) -> None:
    with psycopg.connect(system.database.url, autocommit=True) as connection:
        for statement in (f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", *then):
            connection.execute(statement.encode())
