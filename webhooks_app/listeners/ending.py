"""Listeners end: because their program says so, or because nothing was heard of it, or of its token."""

from datetime import datetime

from sqlalchemy import ColumnElement, Select, or_, select, update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import ApiToken, DeliveryState, Endpoint, EndpointState, Listener
from webhooks_app.db.write_connection import WriteConnection

ASKED = "asked for"
SILENT = "nothing was heard of its program"
_PLATFORM = Actor("platform")


def end(database: WriteDatabase, endpoint_id: str, *, actor: Actor) -> int | None:
    """End a listener and cancel what waits for it; return how much did, None where it had ended before."""
    with database.begin() as connection:
        return end_in_transaction(connection, endpoint_id, ASKED, actor=actor, now=clock.now())


def end_expired(databases: Databases, *, now: datetime) -> int:
    """End the listeners that were not heard of in time or whose token is no longer good; return how many."""
    with databases.read.connect_autocommit() as connection:
        found = connection.scalars(_live().where(_is_over(now))).all()
    return sum(_end_if_over(databases.write, endpoint_id, now) for endpoint_id in found)


def end_in_transaction(
    connection: WriteConnection, endpoint_id: str, reason: str, *, actor: Actor, now: datetime
) -> int | None:
    """End it within the caller's transaction, as `end` does.

    Its signing secret stays, so that the next listener of the name has the same one. Whatever changes a
    listener locks its own row first, then the endpoint's, then the queue's: two that end and begin it at once
    wait for each other in one direction.
    """
    connection.execute(locked(endpoint_id))
    workspace_id = connection.scalar(
        update(Endpoint)
        .where(Endpoint.id == endpoint_id, Endpoint.is_listener, Endpoint.deleted_at.is_(None))
        .values(state=EndpointState.DISABLED, deleted_at=now, updated_at=now)
        .returning(Endpoint.workspace_id)
    )
    if workspace_id is None:
        return None
    count = delivery_queue.remove_endpoint(connection, endpoint_id, DeliveryState.CANCELED, now=now)
    audit.record(
        connection,
        actor,
        "listener.end",
        workspace_id=workspace_id,
        target=endpoint_id,
        now=now,
        reason=reason,
        canceled=count,
    )
    return count


def locked(endpoint_id: str) -> Select[str]:
    """Select a listener, so that nobody else changes it until the transaction ends."""
    return select(Listener.endpoint_id).where(Listener.endpoint_id == endpoint_id).with_for_update()


def _end_if_over(database: WriteDatabase, endpoint_id: str, now: datetime) -> bool:
    with database.begin() as connection:
        # Its program may have asked again meanwhile.
        mine = _live().where(Listener.endpoint_id == endpoint_id, _is_over(now))
        if connection.scalar(mine.with_for_update(of=Listener)) is None:
            return False
        end_in_transaction(connection, endpoint_id, SILENT, actor=_PLATFORM, now=now)
        return True


def _live() -> Select[str]:
    return (
        select(Listener.endpoint_id)
        .join(Endpoint, Endpoint.id == Listener.endpoint_id)
        .join(ApiToken, ApiToken.id == Listener.token_id)
        .where(Endpoint.deleted_at.is_(None))
    )


def _is_over(now: datetime) -> ColumnElement[bool]:
    return or_(Listener.ends_at <= now, ApiToken.revoked_at.is_not(None), ApiToken.expires_at <= now)
