"""Accepting events: stored once with their deliveries, whatever is handed over again."""

import pytest
from sqlalchemy import func, select

from tests.conftest import TESTER, Workspace
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, Event, PendingDelivery
from webhooks_app.endpoints import actions
from webhooks_app.events import accept
from webhooks_app.events.accept import KeyReused, NewEvent
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps

DATA = {"batch_id": "b1", "status": "succeeded"}
EVENT = NewEvent("batch-lifecycle", DATA)


def count(model: type[Event] | type[Delivery] | type[PendingDelivery]) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_a_repeat_under_a_key_returns_the_earlier_event_and_its_deliveries(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.endpoint("https://b.example.com/")

    first, second = (
        accept.accept_events(database, wake_ups, workspace.id, [EVENT], idempotency_key="key")
        for _ in range(2)
    )

    assert first == second
    assert first[0].deliveries == 2
    assert (count(Event), count(Delivery)) == (1, 2)


@pytest.mark.parametrize(
    "other", [NewEvent("batch-request", DATA), NewEvent("batch-lifecycle", DATA | {"batch_id": "b2"})]
)
def test_a_key_goes_with_one_type_and_one_data(
    other: NewEvent, workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    accept.accept_events(database, wake_ups, workspace.id, [EVENT], idempotency_key="key")

    with pytest.raises(KeyReused):
        accept.accept_events(database, wake_ups, workspace.id, [other], idempotency_key="key")
    assert count(Event) == 1


def test_the_order_of_its_fields_makes_no_other_event(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    turned = NewEvent(EVENT.type, dict(reversed(DATA.items())))

    first, second = (
        accept.accept_events(database, wake_ups, workspace.id, [each], idempotency_key="key")
        for each in (EVENT, turned)
    )
    assert first == second


def test_what_comes_for_a_disabled_endpoint_is_held_and_not_queued(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint("https://a.example.com/"))
    actions.disable(database, endpoint, actor=TESTER)

    [accepted] = accept.accept_events(database, wake_ups, workspace.id, [EVENT])

    assert accepted.deliveries == 1
    db.session.rollback()
    assert db.session.scalars(select(Delivery.state)).all() == [DeliveryState.HELD]
    assert count(PendingDelivery) == 0
