"""Every way to change an endpoint, but its secrets. Each action is one transaction with its audit row."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, text, update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids, url_masking
from webhooks_app.core.encryption import Cipher
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import ReadDatabase, WriteDatabase
from webhooks_app.db.models import (
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointHealth,
    EndpointState,
    SigningSecret,
    Subscription,
)
from webhooks_app.endpoints import custom_headers
from webhooks_app.endpoints.custom_headers import GivenHeader
from webhooks_app.endpoints.signing_secrets import add_secret

DEFAULT_TIMEOUT_MS = 5_000  # the published promise: respond within 5 seconds

LONGEST_TIMEOUT_MS = 30_000


@dataclass(slots=True, frozen=True)
class EndpointValues:
    """What an admin can set; `event_types` counts only without `all_events`.

    A header without a value keeps the stored one, but only on the same server.
    """

    name: str
    url: str
    all_events: bool
    event_types: Sequence[str]
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    rate_per_second: int | None = None
    headers: Sequence[GivenHeader] = ()


def create(
    database: WriteDatabase, cipher: Cipher, workspace_id: str, values: EndpointValues, *, actor: Actor
) -> str:
    """Create an enabled endpoint with a signing secret; return its id. Raises ValueNeeded."""
    now = clock.now()
    endpoint_id = ids.new("ep")
    with database.begin() as connection:
        connection.execute(
            insert(Endpoint).values(
                id=endpoint_id,
                workspace_id=workspace_id,
                state=EndpointState.ENABLED,
                created_at=now,
                **_columns(endpoint_id, values, custom_headers.complete(values.headers), cipher, now),
            )
        )
        connection.execute(insert(EndpointHealth).values(endpoint_id=endpoint_id))
        _subscribe(connection, endpoint_id, values)
        add_secret(connection, cipher, endpoint_id, now)
        audit.record(
            connection,
            actor,
            "endpoint.create",
            workspace_id=workspace_id,
            target=endpoint_id,
            now=now,
            url=url_masking.mask_url(values.url),
        )
    return endpoint_id


def change(
    database: WriteDatabase, cipher: Cipher, endpoint: Endpoint, values: EndpointValues, *, actor: Actor
) -> None:
    """Change what an admin can set; requests in flight finish as they are, later ones use the new values.

    Raises ValueNeeded.
    """
    now = clock.now()
    stored = select(Endpoint.id, Endpoint.url, Endpoint.headers_encrypted).where(Endpoint.id == endpoint.id)
    with database.begin() as connection:
        # Locked, so that no change of the URL comes between where the values went and where they go.
        row = connection.execute(stored.with_for_update()).one()
        headers = custom_headers.fill_in(cipher, row, values.headers, values.url)
        connection.execute(
            update(Endpoint)
            .where(Endpoint.id == endpoint.id, Endpoint.deleted_at.is_(None))
            .values(**_columns(endpoint.id, values, headers, cipher, now))
        )
        connection.execute(delete(Subscription).where(Subscription.endpoint_id == endpoint.id))
        _subscribe(connection, endpoint.id, values)
        audit.record(
            connection,
            actor,
            "endpoint.change",
            workspace_id=endpoint.workspace_id,
            target=endpoint.id,
            now=now,
            url=url_masking.mask_url(values.url),
        )


def disable(database: WriteDatabase, endpoint: Endpoint, *, actor: Actor) -> None:
    reason = f"Disabled by {actor.name}."
    with database.begin() as connection:
        disable_in_transaction(connection, endpoint.id, reason=reason, actor=actor, now=clock.now())


def disable_in_transaction(
    connection: Connection, endpoint_id: str, *, reason: str, actor: Actor, now: datetime
) -> bool:
    """Disable it within the caller's transaction and hold what is pending; False if it was disabled."""
    workspace_id = connection.scalar(
        update(Endpoint)
        .where(
            Endpoint.id == endpoint_id, Endpoint.state == EndpointState.ENABLED, Endpoint.deleted_at.is_(None)
        )
        .values(state=EndpointState.DISABLED, disabled_reason=reason, disabled_at=now, updated_at=now)
        .returning(Endpoint.workspace_id)
    )
    if workspace_id is None:
        return False
    delivery_queue.remove_endpoint(connection, endpoint_id, DeliveryState.HELD, now=now)
    audit.record(
        connection,
        actor,
        "endpoint.disable",
        workspace_id=workspace_id,
        target=endpoint_id,
        now=now,
        reason=reason,
    )
    return True


def enable(database: WriteDatabase, endpoint: Endpoint, *, send_held: bool, actor: Actor) -> int:
    """Enable it and send or cancel its held deliveries; return how many there were."""
    now = clock.now()
    state = DeliveryState.PENDING if send_held else DeliveryState.CANCELED
    with database.begin() as connection:
        connection.execute(
            update(Endpoint)
            .where(Endpoint.id == endpoint.id, Endpoint.deleted_at.is_(None))
            .values(state=EndpointState.ENABLED, disabled_reason=None, disabled_at=None, updated_at=now)
        )
        held = connection.scalars(
            update(Delivery)
            .where(Delivery.endpoint_id == endpoint.id, Delivery.attention_state == DeliveryState.HELD.value)
            .values(
                state=state,
                next_attempt_at=now if send_held else None,
                finished_at=None if send_held else now,
            )
            .returning(Delivery.id)
        ).all()
        if send_held:
            delivery_queue.add(connection, held, now=now)
        connection.execute(
            update(EndpointHealth)
            .where(EndpointHealth.endpoint_id == endpoint.id)
            .values(failing_since=None, failure_count=0)
        )
        audit.record(
            connection,
            actor,
            "endpoint.enable",
            workspace_id=endpoint.workspace_id,
            target=endpoint.id,
            now=now,
            held=len(held),
            sent=send_held,
        )
    return len(held)


def remove(database: WriteDatabase, endpoint: Endpoint, *, actor: Actor) -> None:
    """Delete it: cancel what is pending or held; its log stays until it expires."""
    now = clock.now()
    with database.begin() as connection:
        connection.execute(
            update(Endpoint)
            .where(Endpoint.id == endpoint.id)
            .values(state=EndpointState.DISABLED, deleted_at=now, updated_at=now)
        )
        delivery_queue.remove_endpoint(connection, endpoint.id, DeliveryState.CANCELED, now=now)
        connection.execute(
            update(Delivery)
            .where(Delivery.endpoint_id == endpoint.id, Delivery.attention_state == DeliveryState.HELD.value)
            .values(state=DeliveryState.CANCELED, finished_at=now)
        )
        connection.execute(delete(SigningSecret).where(SigningSecret.endpoint_id == endpoint.id))
        audit.record(
            connection,
            actor,
            "endpoint.delete",
            workspace_id=endpoint.workspace_id,
            target=endpoint.id,
            now=now,
            name=endpoint.name,
        )


def held_count(database: ReadDatabase, endpoint_id: str, *, limit: int = 10_000) -> int:
    """Count the deliveries held for it, no further than `limit`."""
    statement = text(
        "SELECT count(*) FROM (SELECT 1 FROM deliveries"
        " WHERE endpoint_id = :id AND trouble = 'held' LIMIT :limit) AS held"
    )
    with database.connect() as connection:
        return int(connection.execute(statement, {"id": endpoint_id, "limit": limit}).scalar_one())


def _columns(
    endpoint_id: str,
    values: EndpointValues,
    headers: Sequence[tuple[str, str]],
    cipher: Cipher,
    now: datetime,
) -> dict[str, object]:
    written = json.dumps([list(header) for header in headers]) if headers else None
    return {
        "name": values.name,
        "url": values.url,
        "all_events": values.all_events,
        "timeout_ms": values.timeout_ms,
        "rate_per_second": values.rate_per_second,
        "headers_encrypted": cipher.encrypt(endpoint_id, written) if written else None,
        "updated_at": now,
    }


def _subscribe(connection: Connection, endpoint_id: str, values: EndpointValues) -> None:
    types: Iterable[str] = () if values.all_events else sorted(set(values.event_types))
    rows = [{"endpoint_id": endpoint_id, "event_type": event_type} for event_type in types]
    if rows:
        connection.execute(insert(Subscription), rows)
