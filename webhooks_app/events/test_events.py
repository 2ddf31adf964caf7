"""Test events: sent to one endpoint, and previews of their requests."""

from dataclasses import dataclass

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.core.encryption import Cipher
from webhooks_app.db import event_inserts
from webhooks_app.db.delivery_inserts import NewDelivery
from webhooks_app.db.engines import ReadDatabase, WriteDatabase
from webhooks_app.db.models import DeliveryState, Endpoint
from webhooks_app.endpoints import destinations
from webhooks_app.events.accept import event_rows
from webhooks_app.events.submissions import NewEvent, Submission
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import signed_requests


def send_test(
    database: WriteDatabase,
    wake_ups: WakeUps,
    endpoint: Endpoint,
    new: NewEvent,
    *,
    actor: Actor,
) -> str:
    """Send an event to this endpoint only, subscribed or not; return its delivery's id.

    It goes out as any other does, is attempted once, and counts towards nothing.
    """
    now = clock.now()
    [event] = event_rows(Submission(endpoint.workspace_id, [new]), now)
    with database.begin() as connection:
        states = destinations.not_accepting(connection, [endpoint.id])
        state = states.get(endpoint.id, DeliveryState.PENDING)
        delivery = NewDelivery(
            ids.new("dlv"), endpoint.workspace_id, endpoint.id, event.id, event.type, state
        )
        event_inserts.insert(connection, [event], [delivery], now=now, is_test=True)
        audit.record(
            connection,
            actor,
            "endpoint.test",
            workspace_id=endpoint.workspace_id,
            target=endpoint.id,
            now=now,
            delivery_id=delivery.id,
        )
    wake_ups.wake_worker(listener_ids=[endpoint.id] if endpoint.is_listener else ())
    return delivery.id


@dataclass(slots=True, frozen=True)
class RequestPreview:
    """A test event's request as it would go out now; the ids are examples, the signature is genuine."""

    url: str
    headers: list[tuple[str, str]]
    body: bytes


def preview_test(database: ReadDatabase, cipher: Cipher, endpoint: Endpoint, new: NewEvent) -> RequestPreview:
    """Return the request that `send_test` would send; nothing is stored."""
    now = clock.now()
    [event] = event_rows(Submission(endpoint.workspace_id, [new]), now)
    with database.connect() as connection:
        headers = signed_requests.preview(
            connection, cipher, endpoint.id, delivery_id=ids.new("dlv"), body=event.body, now=now
        )
    return RequestPreview(endpoint.url, headers, event.body)
