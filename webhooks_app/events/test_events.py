"""Test events: sent to one endpoint, and previews of their requests."""

from dataclasses import dataclass

from sqlalchemy import insert

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.core.encryption import Cipher
from webhooks_app.db.engines import ReadDatabase, WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, EndpointState, Event, PendingDelivery
from webhooks_app.endpoints import destinations
from webhooks_app.events.accept import NewEvent, delivery_row, event_row, pending_row
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
    """Send a real event to this endpoint only, subscribed or not; return its delivery's id."""
    now = clock.now()
    event = event_row(endpoint.workspace_id, new, None, now)
    with database.begin() as connection:
        is_disabled = endpoint.id in destinations.not_accepting(connection, [endpoint.id])
        state = EndpointState.DISABLED if is_disabled else EndpointState.ENABLED
        delivery = {"id": ids.new("dlv")} | delivery_row(event, endpoint.id, state, now)
        connection.execute(insert(Event).values(event))
        connection.execute(insert(Delivery).values(delivery))
        if delivery["state"] is DeliveryState.PENDING:
            connection.execute(insert(PendingDelivery).values(pending_row(delivery)))
        audit.record(
            connection,
            actor,
            "endpoint.test",
            workspace_id=endpoint.workspace_id,
            target=endpoint.id,
            now=now,
            delivery_id=delivery["id"],
        )
    wake_ups.wake_worker()
    return str(delivery["id"])


@dataclass(slots=True, frozen=True)
class RequestPreview:
    """A test event's request as it would go out now; the ids are examples, the signature is genuine."""

    url: str
    headers: list[tuple[str, str]]
    body: bytes


def preview_test(database: ReadDatabase, cipher: Cipher, endpoint: Endpoint, new: NewEvent) -> RequestPreview:
    """Return the request that `send_test` would send; nothing is stored."""
    now = clock.now()
    body = event_row(endpoint.workspace_id, new, None, now)["body"]
    with database.connect() as connection:
        headers = signed_requests.preview(
            connection, cipher, endpoint.id, delivery_id=ids.new("dlv"), body=body, now=now
        )
    return RequestPreview(endpoint.url, headers, body)
