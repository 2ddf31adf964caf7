"""Reports of one request that come at the same moment, as when a program asks again before it is answered."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select

from tests.conftest import Workspace
from tests.listeners.listening import begin, claim
from tests.listeners.test_attempt_reports import record
from tests.listeners.test_lock_order import is_somebody_waiting
from tests.waiting import wait_for
from tests.worker.attempted import attempts
from webhooks_app.core import failpoints
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Delivery, DeliveryState
from webhooks_app.extensions import db
from webhooks_app.listeners.attempt_reports import Recorded


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("status", [503, 200])
def test_of_two_at_once_one_becomes_the_attempt(
    app: Flask, workspace: Workspace, databases: Databases, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    endpoint_id = begin(workspace).endpoint_id
    workspace.send()
    [request] = claim(endpoint_id)
    db.session.rollback()

    def report() -> Recorded:
        with app.app_context():
            return record(endpoint_id, request, status)

    with ThreadPoolExecutor(1) as pool:
        others: list[Future[Recorded]] = []

        def hit(name: str, *_: object) -> None:
            if name == "worker.half_recorded" and not others:
                others.append(pool.submit(report))
                wait_for(lambda: is_somebody_waiting(databases))

        monkeypatch.setattr(failpoints, "hit", hit)
        report()
        again = others[0].result(30)
    assert again.outcome.status == status
    assert len(attempts()) == 1
    delivery = db.session.scalars(select(Delivery)).one()
    expected = (DeliveryState.PENDING, 1) if status == 503 else (DeliveryState.DELIVERED, 1)
    assert (delivery.state, delivery.attempts_in_schedule) == expected
