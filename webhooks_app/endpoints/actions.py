"""Every way to change an endpoint, but its secrets. Each action is one transaction with its audit row."""

from datetime import datetime

from sqlalchemy import delete, insert, update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids, url_masking
from webhooks_app.core.encryption import Cipher
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointHealth,
    EndpointState,
    SigningSecret,
    Subscription,
)
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints import custom_headers, endpoint_values, optimistic_lock, setting_changes
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.endpoints.signing_secrets import add_secret


def create(
    database: WriteDatabase, cipher: Cipher, workspace_id: str, values: EndpointValues, *, actor: Actor
) -> str:
    """Create an enabled endpoint with a signing secret; return its id. Raises ValueNeeded."""
    with database.begin() as connection:
        return create_in_transaction(connection, cipher, workspace_id, values, actor=actor)


def create_in_transaction(
    connection: WriteConnection, cipher: Cipher, workspace_id: str, values: EndpointValues, *, actor: Actor
) -> str:
    """Create it within the caller's transaction, as `create` does."""
    now = clock.now()
    endpoint_id = ids.new("ep")
    headers = custom_headers.complete(values.headers)
    connection.execute(
        insert(Endpoint).values(
            id=endpoint_id,
            workspace_id=workspace_id,
            state=EndpointState.ENABLED,
            created_at=now,
            **endpoint_values.columns(endpoint_id, values, headers, cipher, now),
        )
    )
    connection.execute(insert(EndpointHealth).values(endpoint_id=endpoint_id))
    endpoint_values.subscribe(connection, endpoint_id, values)
    add_secret(connection, cipher, endpoint_id, now)
    audit.record(
        connection,
        actor,
        "endpoint.create",
        workspace_id=workspace_id,
        target=endpoint_id,
        now=now,
        url=url_masking.mask_url(values.url),
        **({"managed_by": values.managed_by} if values.managed_by else {}),
    )
    return endpoint_id


def change(
    database: WriteDatabase,
    cipher: Cipher,
    endpoint: Endpoint,
    values: EndpointValues,
    *,
    seen_at: datetime | None = None,
    actor: Actor,
) -> None:
    """Change what an admin can set; requests in flight finish as they are, later ones use the new values.

    Raises ValueNeeded and, given the `updated_at` that the caller saw, ChangedMeanwhile.
    """
    with database.begin() as connection:
        optimistic_lock.check(connection, endpoint.id, seen_at)
        change_in_transaction(connection, cipher, endpoint, values, actor=actor)


def change_in_transaction(
    connection: WriteConnection, cipher: Cipher, endpoint: Endpoint, values: EndpointValues, *, actor: Actor
) -> None:
    """Change it within the caller's transaction, as `change` does, unless it was deleted meanwhile."""
    now = clock.now()
    # Locked, so that no change of the URL comes between where the values went and where they go.
    row = connection.execute(setting_changes.stored(endpoint.id).with_for_update()).one()
    headers = custom_headers.fill_in(cipher, row, values.headers, values.url)
    columns = endpoint_values.columns(endpoint.id, values, headers, cipher, now)
    details = setting_changes.describe(connection, row, columns, values)
    live = update(Endpoint).where(Endpoint.id == endpoint.id, Endpoint.deleted_at.is_(None))
    if not connection.execute(live.values(**columns)).rowcount:
        return
    connection.execute(delete(Subscription).where(Subscription.endpoint_id == endpoint.id))
    endpoint_values.subscribe(connection, endpoint.id, values)
    audit.record(
        connection,
        actor,
        "endpoint.change",
        workspace_id=endpoint.workspace_id,
        target=endpoint.id,
        now=now,
        **details,
    )


def disable(
    database: WriteDatabase, endpoint: Endpoint, *, seen_at: datetime | None = None, actor: Actor
) -> None:
    """Disable it and hold what is pending. Raises ChangedMeanwhile as `change` does."""
    reason = f"Disabled by {actor.name}."
    with database.begin() as connection:
        optimistic_lock.check(connection, endpoint.id, seen_at)
        disable_in_transaction(connection, endpoint.id, reason=reason, actor=actor, now=clock.now())


def disable_in_transaction(
    connection: WriteConnection, endpoint_id: str, *, reason: str, actor: Actor, now: datetime
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


def enable(
    database: WriteDatabase,
    endpoint: Endpoint,
    *,
    send_held: bool,
    seen_at: datetime | None = None,
    actor: Actor,
) -> int:
    """Enable it and send or cancel its held deliveries; return how many there were.

    Raises ChangedMeanwhile as `change` does.
    """
    with database.begin() as connection:
        optimistic_lock.check(connection, endpoint.id, seen_at)
        return enable_in_transaction(connection, endpoint, send_held=send_held, actor=actor)


def enable_in_transaction(
    connection: WriteConnection, endpoint: Endpoint, *, send_held: bool, actor: Actor
) -> int:
    """Enable it within the caller's transaction, as `enable` does, unless it was deleted meanwhile."""
    now = clock.now()
    enabled = connection.execute(
        update(Endpoint)
        .where(Endpoint.id == endpoint.id, Endpoint.deleted_at.is_(None))
        .values(state=EndpointState.ENABLED, disabled_reason=None, disabled_at=None, updated_at=now)
    )
    if not enabled.rowcount:
        return 0
    held_count = _send_or_cancel_held(connection, endpoint.id, is_sent=send_held, now=now)
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
        held=held_count,
        sent=send_held,
    )
    return held_count


def _send_or_cancel_held(
    connection: WriteConnection, endpoint_id: str, *, is_sent: bool, now: datetime
) -> int:
    """Queue the endpoint's held deliveries, or else cancel them; return how many they were."""
    held = connection.scalars(
        update(Delivery)
        .where(Delivery.endpoint_id == endpoint_id, Delivery.attention_state == DeliveryState.HELD.value)
        .values(
            state=DeliveryState.PENDING if is_sent else DeliveryState.CANCELED,
            next_attempt_at=now if is_sent else None,
            finished_at=None if is_sent else now,
        )
        .returning(Delivery.id)
    ).all()
    if is_sent:
        delivery_queue.add(connection, held, now=now)
    return len(held)


def remove(
    database: WriteDatabase, endpoint: Endpoint, *, seen_at: datetime | None = None, actor: Actor
) -> None:
    """Delete it, unless it was before: cancel what is pending or held; its log stays until it expires.

    Raises ChangedMeanwhile as `change` does.
    """
    now = clock.now()
    with database.begin() as connection:
        optimistic_lock.check(connection, endpoint.id, seen_at)
        removed = connection.execute(
            update(Endpoint)
            .where(Endpoint.id == endpoint.id, Endpoint.deleted_at.is_(None))
            .values(state=EndpointState.DISABLED, deleted_at=now, updated_at=now)
        )
        if not removed.rowcount:
            return
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
