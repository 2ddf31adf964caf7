"""Cancellation: what waits is ended, and what does not is said."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from tests.deliveries.conftest import claim, found, newest_ids, page, statements
from tests.receivers import Receiver
from webhooks_app.core import ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AuditEntry, Delivery, DeliveryState
from webhooks_app.deliveries import cancellations, replays
from webhooks_app.deliveries.cancellations import CancelResult
from webhooks_app.deliveries.replays import ReplayResult
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine


def test_cancel_ends_a_waiting_delivery_and_says_why_not(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(2)
    claimed, waiting = newest_ids(workspace)
    claim(database, claimed)

    assert cancellations.cancel(database, workspace.id, waiting, actor=TESTER) is CancelResult.CANCELED
    assert cancellations.cancel(database, workspace.id, waiting, actor=TESTER) is CancelResult.FINISHED
    assert cancellations.cancel(database, workspace.id, claimed, actor=TESTER) is CancelResult.IN_FLIGHT
    db.session.rollback()
    assert db.session.get_one(Delivery, waiting).state is DeliveryState.CANCELED
    audited = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "delivery.cancel")).all()
    assert [entry.target for entry in audited] == [waiting]


def test_what_a_dead_worker_held_can_be_canceled_and_replayed(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(2)
    first, second = newest_ids(workspace)
    for delivery_id in (first, second):
        claim(database, delivery_id)
        assert (
            replays.replay(database, wake_ups, workspace.id, delivery_id, actor=TESTER)
            is ReplayResult.IN_FLIGHT
        )
        assert found(workspace, status="sending") == [delivery_id]
        claim(database, delivery_id, lease=timedelta(seconds=-1))

    assert found(workspace, status="sending") == []
    assert [(row.status, row.can_cancel, row.can_send_now) for row in page(workspace).rows] == [
        ("pending", True, True)
    ] * 2
    assert replays.replay(database, wake_ups, workspace.id, first, actor=TESTER) is ReplayResult.SENT_NOW
    assert cancellations.cancel(database, workspace.id, second, actor=TESTER) is CancelResult.CANCELED


def test_a_cancellation_takes_three_statements(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    [waiting] = newest_ids(workspace)

    with statements() as asked:
        cancellations.cancel(database, workspace.id, waiting, actor=TESTER)
    assert len(asked) == 3


def test_what_is_not_the_workspaces_is_unknown(
    workspace: Workspace, make_workspace: Callable[[str], Workspace], database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    [waiting] = newest_ids(workspace)

    for workspace_id, delivery_id in (
        (make_workspace("Other").id, waiting),
        (workspace.id, ids.new("dlv")),
        (workspace.id, "\0"),
    ):
        with pytest.raises(replays.UnknownDelivery):
            cancellations.cancel(database, workspace_id, delivery_id, actor=TESTER)
    db.session.rollback()
    assert db.session.get_one(Delivery, waiting).state is DeliveryState.PENDING
