"""Workspaces to look at: deliveries in every state, made by the real engine and real receivers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from flask import Flask
from sqlalchemy import insert, select, update

from tests.accepting import accept_events
from tests.conftest import PASSWORD, TESTER, Workspace, new_engine, new_workspace
from tests.receivers import Answer, Receiver
from webhooks_app.accounts import api_tokens, log_in_links, members, password_resets, users
from webhooks_app.core import clock, ids
from webhooks_app.db.models import (
    ApiToken,
    BacklogSample,
    Delivery,
    DeliveryState,
    Endpoint,
    Passkey,
    PendingDelivery,
    ProcessReport,
    Recovery,
    Role,
    TokenAllowance,
    User,
)
from webhooks_app.deliveries import cancellations, recoveries, recovery_runs, replays
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.deliveries.log import saved_filters
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.endpoints import actions, auto_disable, signing_secrets
from webhooks_app.events import test_events
from webhooks_app.events.submissions import NewEvent
from webhooks_app.extensions import db, services
from webhooks_app.worker import claims
from webhooks_app.worker.engine import DeliveryEngine

VIEWER_EMAIL = "viewer@example.com"
CAREFUL_EMAIL = "careful@example.com"
MARKUP = '<script>alert(1)</script><img src=x onerror=alert(2)><b hx-get="/evil" hx-trigger="load">evil</b>'
# As ids, hosts and tokens are: a word that has no place to break.
LONG = "x" * 120
ANSWERS = {
    "/orders": Answer(200, b'{"received": true}', {"content-type": "application/json"}),
    "/billing": Answer(503, b"<html><body>upstream connect error</body></html>", {"server": "proxy"}),
    "/legacy": Answer(410, b"moved away"),
    "/hostile": Answer(500, f"{MARKUP}\u202e{LONG}\0".encode() + b"\xff", {"x-evil": MARKUP + LONG}),
}


@dataclass
class World:
    """`empty` is a workspace without anything, `quiet` one with an endpoint and no delivery."""

    app: Flask
    origin: str
    acme: Workspace
    empty: Workspace
    quiet: Workspace
    ids: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        name: str,
        *event_types: str,
        title: str = "",
        path: str = "/orders",
        managed_by: str | None = None,
    ) -> None:
        """An endpoint of Acme's, for all events where none are named."""
        self.ids[name] = self.acme.endpoint(
            self.origin + path,
            name=title or name.capitalize(),
            all_events=not event_types,
            event_types=event_types,
            managed_by=managed_by,
        )

    def send(self, *event_types: str, **data: object) -> None:
        """Events with the catalog's examples as their data."""
        new = [
            NewEvent.of(kind.name, example, kind.indexed_values(example))
            for kind in services(self.app).catalog.event_types
            if kind.name in event_types and (example := {**kind.example, **data})
        ]
        accept_events(services().write, services(self.app).wake_ups, self.acme.id, new)

    def note(self, name: str, endpoint: str) -> str:
        """Keeps the id of the endpoint's newest delivery under that name."""
        found = self._newest(endpoint)
        self.ids[name] = found.id
        return found.id

    def state(self, endpoint: str) -> DeliveryState:
        return self._newest(endpoint).state

    def _newest(self, endpoint: str) -> Delivery:
        db.session.rollback()
        statement = select(Delivery).where(Delivery.endpoint_id == self.ids[endpoint])
        return db.session.scalars(statement.order_by(Delivery.id.desc()).limit(1)).one()

    def load(self, endpoint: str) -> Endpoint:
        db.session.rollback()
        return db.session.get_one(Endpoint, self.ids[endpoint])


@contextmanager
def prepared(app: Flask) -> Iterator[World]:
    with Receiver() as receiver, app.app_context():
        receiver.answer = lambda received: ANSWERS[received.path]
        origin = receiver.url.removesuffix("/hooks")
        acme, empty, quiet = (new_workspace(app, name) for name in ("Acme", "Empty", "Quiet"))
        world = World(app, origin, acme, empty, quiet)
        world.quiet.endpoint("https://hooks.example.com/")
        _add_viewer(world)
        with new_engine(app) as engine:
            _deliver(world, engine)
            _fail(world, engine)
            _fail_for_good(world, engine)
            _send_by_hand(world, engine)
        _leave_waiting(world)
        _recover(world)
        _report(world)
        _save_filters(world)
        _add_passkeys(world)
        db.session.remove()
        yield world


def _save_filters(world: World) -> None:
    filters = {"Failed at Billing": LogFilter(status=Status.FAILED, endpoint=world.ids["billing"])}
    filters[MARKUP[:90]] = LogFilter(q=MARKUP[:90], response="503", range="24h")
    for name, wanted in filters.items():
        world.ids["filter"] = saved_filters.save(services().write, world.acme.id, name, wanted, actor=TESTER)


def _add_passkeys(world: World) -> None:
    """One that was used, and one whose name is as long as a name may be."""
    now, admin = clock.now(), select(User.id).where(User.email == world.acme.admin_email).scalar_subquery()
    shared = {"user_id": admin, "public_key": b"", "sign_count": 0, "created_at": now - timedelta(days=40)}
    with services().write.begin() as connection:
        for name, used_at in (("Phone", now), (MARKUP[:90], None)):
            passkey_id = world.ids["passkey"] = ids.new("psk")
            own = {
                "id": passkey_id,
                "credential_id": passkey_id.removeprefix("psk_")[:24],
                "name": name,
                "last_used_at": used_at,
            }
            connection.execute(insert(Passkey).values(shared | own))


def _report(world: World) -> None:
    """One worker has been lost, one endpoint takes all slots, and the backlog has grown for half an hour."""
    now, busy = clock.now(), world.ids["long"]
    rows = [
        ("web", "web-1.internal", 2, {"pool_used": 1, "pool_idle": 4}),
        (
            "worker",
            "worker-1.internal",
            1,
            {"in_flight": 390, "capacity": 400, "endpoints": [[busy, 256, 256]]},
        ),
        ("worker", LONG[:64], 900, {"in_flight": 3, "capacity": 400}),
        ("scheduler", "worker-1.internal", 3, {"idle_seconds": 0.4}),
    ]
    reports = [
        {
            "kind": kind,
            "host": host,
            "state": state,
            "ended_at": None,
            "started_at": now - timedelta(days=3),
            "id": ids.new("prc"),
            "pid": 4711,
            "version": "0.1.0",
            "reported_at": now - timedelta(seconds=ago),
            "clock_ahead_ms": 12,
            "counters": {},
        }
        for kind, host, ago, state in rows
    ]
    samples = [
        {
            "at": now - timedelta(minutes=minutes),
            "pending": 60_000 - 900 * minutes,
            "due": 48_000 - 1500 * minutes if minutes < 30 else 3000 + 50 * minutes,
            "held": 12,
            "oldest_due_at": now - timedelta(minutes=47),
            "endpoints": [[busy, 41_000], [world.ids["billing"], 7_000]],
            "duration_ms": 9,
        }
        for minutes in range(60)
    ]
    with services().write.begin() as connection:
        connection.execute(insert(ProcessReport), reports)
        connection.execute(insert(BacklogSample), samples)


def _add_viewer(world: World) -> None:
    user_id = users.add(services().write, email=VIEWER_EMAIL, name="Vera Viewer", password=PASSWORD)
    members.add(services().write, world.acme.id, user_id, Role.VIEWER, actor=TESTER)
    careful = users.add(services().write, email=CAREFUL_EMAIL, name="Cara Careful", password=PASSWORD)
    with services().write.begin() as connection:
        connection.execute(update(User).where(User.id == careful).values(second_factor_at=clock.now()))
    user = db.session.get_one(User, user_id)
    key = services(world.app).settings.secret_key
    world.ids["reset"] = password_resets.new_token(user, key)
    world.ids["link"] = log_in_links.new_link(user, "", services(world.app).settings.secret_key).rpartition(
        "/"
    )[2]
    secret = members.invite(services().write, world.acme.id, "grace@example.com", Role.ADMIN, actor=TESTER)
    world.ids["invitation"] = secret
    api_tokens.create(
        services().write, world.acme.id, MARKUP[:100], rate_per_second=1500, burst=20_000, actor=TESTER
    )
    limited = db.session.scalars(select(ApiToken.id).where(ApiToken.name == MARKUP[:100])).one()
    world.ids["limited token"] = limited
    with services().write.begin() as connection:
        used = {"token_id": limited, "full_at": clock.now(), "refused_at": clock.now()}
        connection.execute(insert(TokenAllowance), [used])
    api_tokens.create(services().write, world.acme.id, LONG[:100], actor=TESTER)
    old = db.session.scalars(select(ApiToken).where(ApiToken.name == LONG[:100])).one()
    api_tokens.revoke(services().write, old, actor=TESTER)


def _deliver(world: World, engine: DeliveryEngine) -> None:
    world.add("orders")
    world.send(*services(world.app).catalog.names)
    engine.run(seconds=60)
    world.note("delivered", "orders")
    world.send("batch-input-deletion")
    engine.run(seconds=60)
    world.note("erased", "orders")
    with services().write.begin() as connection:
        event_id = select(Delivery.event_id).where(Delivery.id == world.ids["erased"])
        payload_rows.erase_attempts(connection, [world.ids["erased"]])
        payload_rows.erase_bodies(connection, list(connection.scalars(event_id)), now=clock.now())
    world.add("deleted", "batch-input-deletion")
    world.send("batch-input-deletion")
    engine.run(seconds=60)
    world.note("delivered to deleted", "deleted")
    actions.remove(services().write, world.load("deleted"), actor=TESTER)


def _fail(world: World, engine: DeliveryEngine) -> None:
    """Billing fails so often that it is about to be disabled; its secret was rotated meanwhile."""
    world.add("billing", "batch-lifecycle", "batch-request", path="/billing")
    for _ in range(auto_disable.ENOUGH_FAILURES):
        world.send("batch-lifecycle")
    engine.run(seconds=60)
    world.note("retrying", "billing")
    for name in ("canceled", "failed"):
        world.send("batch-request")
        engine.run(seconds=60)
        world.note(name, "billing")
    cancellations.cancel(services().write, world.acme.id, world.ids["canceled"], actor=TESTER)
    while world.state("billing") is DeliveryState.PENDING:
        _make_due(world.ids["failed"])
        engine.run(seconds=60)
    auto_disable.warn_and_disable(services().databases, after=timedelta(milliseconds=1), now=clock.now())
    signing_secrets.rotate(
        services().write,
        services(world.app).cipher,
        world.load("billing"),
        overlap=timedelta(days=1),
        actor=TESTER,
    )


def _make_due(delivery_id: str) -> None:
    """As if the delay of its schedule were over."""
    with services().write.begin() as connection:
        waiting = update(PendingDelivery).where(PendingDelivery.delivery_id == delivery_id)
        connection.execute(waiting.values(next_attempt_at=clock.now()))


def _fail_for_good(world: World, engine: DeliveryEngine) -> None:
    """Legacy says 410 and is disabled by it, so what comes later is held."""
    world.add("legacy", "batch-interrupt-request", path="/legacy")
    world.add("hostile", "model-version-demotion", title=MARKUP[:100], path="/hostile")
    world.add("long", "api-key-recycling", title=LONG[:100], path="/orders?" + LONG, managed_by=LONG[:100])
    world.send("batch-interrupt-request")
    world.send("model-version-demotion", note=MARKUP + LONG)
    engine.run(seconds=60)
    world.note("gone", "legacy")
    world.note("hostile delivery", "hostile")
    world.send("batch-interrupt-request")
    engine.run(seconds=60)
    world.note("held", "legacy")


def _send_by_hand(world: World, engine: DeliveryEngine) -> None:
    """A test, one delivery sent now, and a recovery that is over: some of its deliveries arrived."""
    databases, wake_ups = services(world.app).databases, services(world.app).wake_ups
    event = NewEvent.of("batch-lifecycle", {"batch_id": "b1", "status": "succeeded"})
    test = test_events.send_test(databases.write, wake_ups, world.load("orders"), event, actor=TESTER)
    world.ids["test"] = test
    replays.replay(databases.write, wake_ups, world.acme.id, world.ids["retrying"], actor=TESTER)
    engine.run(seconds=60)
    time.sleep(1.1)  # a recovery takes what was made before its start, to the second
    wanted = LogFilter(event_type="batch-lifecycle")
    world.ids["done recovery"] = recoveries.start(databases, wake_ups, world.acme.id, wanted, actor=TESTER)
    recovery_runs.run_all(databases, wake_ups)
    engine.run(seconds=60)


def _leave_waiting(world: World) -> None:
    """No worker runs any more: one delivery is claimed and never answered, one not even claimed."""
    world.add("unused", "api-key-renaming", managed_by="deploy/endpoints.yaml")
    world.add("slow", "api-key-creation")
    world.send("api-key-creation")
    world.note("sending", "slow")
    with services().write.begin() as connection:
        quotas = {world.ids["slow"]: 1}
        assert claims.claim_due(connection, quotas, now=clock.now(), lease=timedelta(hours=1))
    world.send("api-key-creation")
    world.note("pending", "slow")


def _recover(world: World) -> None:
    """One recovery that was canceled, and one that no worker goes on with."""
    wake_ups, wanted = services(world.app).wake_ups, LogFilter(status=Status.FAILED)
    time.sleep(1.1)  # a recovery takes what was made before its start, to the second
    for name in ("canceled recovery", "recovery"):
        started = recoveries.start(services().databases, wake_ups, world.acme.id, wanted, actor=TESTER)
        world.ids[name] = started
        if name != "recovery":
            db.session.rollback()
            recoveries.stop(services().write, db.session.get_one(Recovery, started), actor=TESTER)
