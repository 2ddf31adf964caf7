"""Into the queue and out of it, together with the deliveries' state."""

import pytest
from sqlalchemy import select, update

from tests.conftest import Workspace
from webhooks_app.core import clock
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, PendingDelivery
from webhooks_app.extensions import db


def queue() -> list[PendingDelivery]:
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(select(PendingDelivery).order_by(PendingDelivery.delivery_id)))


def test_only_claims_that_are_still_current_leave_the_queue(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(3)
    first, second, third = (row.delivery_id for row in queue())
    with database.begin() as connection:
        newer = update(PendingDelivery).where(PendingDelivery.delivery_id == second)
        connection.execute(newer.values(generation=2))

    with database.begin() as connection:
        claimed = [(first, 0), (second, 1), ("dlv_unknown", 0)]
        assert delivery_queue.remove(connection, claimed, DeliveryState.HELD, now=clock.now()) == 1

    assert [row.delivery_id for row in queue()] == [second, third]
    states = dict(db.session.execute(select(Delivery.id, Delivery.state)).all())
    assert states == {
        first: DeliveryState.HELD,
        second: DeliveryState.PENDING,
        third: DeliveryState.PENDING,
    }


def test_what_returns_to_the_queue_goes_on_behind_the_generation_it_left_with(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/")
    workspace.send(2)
    now = clock.now()
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(generation=7))
        removed = delivery_queue.remove_endpoint(connection, endpoint_id, DeliveryState.CANCELED, now=now)
        assert removed == 2
    assert queue() == []
    named = list(db.session.scalars(select(Delivery.id).where(Delivery.finished_at == now)))
    assert len(named) == 2

    with database.begin() as connection:
        delivery_queue.add(connection, named, now=now)
        assert delivery_queue.count_due(connection, endpoint_id, now=now, limit=10) == 2
        assert delivery_queue.count_due(connection, endpoint_id, now=now, limit=1) == 1

    assert [(row.generation, row.expired_leases, row.next_attempt_at) for row in queue()] == [(7, 0, now)] * 2


@pytest.mark.parametrize(
    ("state", "is_finished"), [(DeliveryState.HELD, False), (DeliveryState.CANCELED, True)]
)
def test_what_leaves_the_queue_is_due_no_more_and_finished_only_if_it_was_canceled(
    workspace: Workspace, database: WriteDatabase, state: DeliveryState, is_finished: bool
) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/")
    workspace.send()
    now = clock.now()
    with database.begin() as connection:
        delivery_queue.remove_endpoint(connection, endpoint_id, state, now=now)
    db.session.rollback()
    [delivery] = db.session.scalars(select(Delivery))
    assert (delivery.state, delivery.next_attempt_at) == (state, None)
    assert delivery.finished_at == (now if is_finished else None)
