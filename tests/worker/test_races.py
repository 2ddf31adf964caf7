"""Two at once: an endpoint is enabled while something is about to be held for it."""

import threading
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.conftest import TESTER, Workspace
from tests.receivers import Receiver
from webhooks_app.core import clock, failpoints
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, EndpointState
from webhooks_app.endpoints import actions
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine


def states() -> list[DeliveryState]:
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(select(Delivery.state)))


def at(monkeypatch: pytest.MonkeyPatch, place: str, act: Callable[[], object]) -> None:
    """Has `act` done once, when a process comes by that failpoint."""
    pending = [act]

    def hit(name: str, *_: object) -> None:
        if name == place and pending:
            pending.pop()()

    monkeypatch.setattr(failpoints, "hit", hit)


def in_thread(app: Flask, act: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        with app.app_context():
            act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_what_is_being_accepted_while_the_endpoint_is_enabled_is_sent(
    app: Flask,
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    actions.disable(database, endpoint, actor=TESTER)
    reached, may_go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        may_go_on.wait(30)

    at(monkeypatch, "accept.committing", wait)

    accepting = in_thread(app, workspace.send)
    assert reached.wait(30)
    enabling = in_thread(app, lambda: actions.enable(database, endpoint, send_held=True, actor=TESTER))
    enabling.join(0.3)
    assert enabling.is_alive()  # until the accept has committed
    may_go_on.set()
    accepting.join()
    enabling.join()
    engine.run(seconds=60)

    assert states() == [DeliveryState.DELIVERED]


def test_an_accept_that_comes_a_moment_after_the_enabling_holds_nothing(
    app: Flask, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    actions.disable(database, endpoint, actor=TESTER)
    with database.begin() as connection:
        connection.execute(
            update(Endpoint).values(state=EndpointState.ENABLED, updated_at=clock.now(), disabled_reason=None)
        )
        accepting = in_thread(app, workspace.send)
        accepting.join(0.3)
        assert accepting.is_alive()  # until the enabling has committed
    accepting.join()
    engine.run(seconds=60)

    assert states() == [DeliveryState.DELIVERED]


def test_what_a_worker_is_about_to_hold_while_the_endpoint_is_enabled_is_sent(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    workspace.send()
    with database.begin() as connection:  # as if the accept had committed just after the disabling had
        connection.execute(update(Endpoint).values(state=EndpointState.DISABLED, updated_at=clock.now()))
    at(
        monkeypatch,
        "worker.claimed",
        lambda: actions.enable(database, endpoint, send_held=True, actor=TESTER),
    )
    engine.run(seconds=60)

    assert states() == [DeliveryState.DELIVERED]
