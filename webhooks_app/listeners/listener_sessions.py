"""Listeners begin, are taken over, and stay for as long as their program asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.core.encryption import Cipher
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    Endpoint,
    EndpointHealth,
    EndpointState,
    Listener,
    PendingDelivery,
    SigningSecret,
    Subscription,
    Workspace,
)
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints import endpoint_values
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.endpoints.signing_secrets import add_secret
from webhooks_app.listeners import ending, listener_limits
from webhooks_app.listeners.listener_limits import DEFAULT_LIMITS, ListenerLimits


@dataclass(slots=True, frozen=True)
class NewListener:
    """What a program asks for; `event_types` count only without `all_events`."""

    name: str
    all_events: bool
    event_types: Sequence[str]
    timeout_ms: int
    forward_to: str

    def as_values(self) -> EndpointValues:
        """Return it as an endpoint.

        A worker of an older version, which knows of no listeners, would send to its URL. Nothing is ever
        found there (RFC 6761, section 6.4), and no certificate is made out to it.
        """
        url = f"https://{self.name}.listener.invalid/"
        name = f"Listener {self.name}"
        return EndpointValues(name, url, self.all_events, self.event_types, self.timeout_ms)


@dataclass(slots=True, frozen=True)
class ListenerSession:
    """A program's use of a listener. `is_resumed`: the listener had not ended since it last began."""

    endpoint_id: str
    id: str
    is_resumed: bool


def begin(
    database: WriteDatabase,
    cipher: Cipher,
    workspace_id: str,
    token_id: str,
    new: NewListener,
    *,
    limits: ListenerLimits = DEFAULT_LIMITS,
    actor: Actor,
) -> ListenerSession:
    """Begin a session of the token's listener of this name; what the program before had claimed is due again.

    Raises TooManyListeners and TooOften.
    """
    now = clock.now()
    listener_limits.count_start(database, workspace_id, token_id, limits, now=now)
    with database.begin() as connection:
        _lock(connection, workspace_id, token_id, new.name)
        found = _find(connection, token_id, new.name)
        if found is not None and found.deleted_at is None and found.ends_at <= now:
            ending.end_in_transaction(connection, found.endpoint_id, ending.SILENT, actor=actor, now=now)
            found = _find(connection, token_id, new.name)
        is_resumed = found is not None and found.deleted_at is None
        if not is_resumed:
            listener_limits.check_counts(connection, workspace_id, token_id, limits, is_new=found is None)
        endpoint_id = found.endpoint_id if found else _add_endpoint(connection, workspace_id, new, now)
        _configure(connection, cipher, endpoint_id, new, now)
        session = ListenerSession(endpoint_id, ids.new("lss"), is_resumed)
        _write(connection, session, token_id, new, now, is_new=found is None, limits=limits)
        _record(connection, actor, workspace_id, session, new, now)
    return session


def renew(
    database: WriteDatabase, listener: Listener, *, limits: ListenerLimits = DEFAULT_LIMITS, now: datetime
) -> datetime:
    """Extend the listener's life, as its program has just asked; return until when it lasts."""
    ends_at = now + limits.kept_for
    if ends_at - listener.ends_at <= limits.renewed_within:
        return listener.ends_at
    with database.begin() as connection:
        connection.execute(
            update(Listener)
            .where(Listener.endpoint_id == listener.endpoint_id, Listener.session_id == listener.session_id)
            .where(Listener.ends_at > now)
            .values(ends_at=ends_at)
        )
    return ends_at


def _lock(connection: WriteConnection, workspace_id: str, token_id: str, name: str) -> None:
    # Two that begin at once would both be the last that there may be.
    own = select(Workspace.id).where(Workspace.id == workspace_id)
    connection.execute(own.with_for_update(key_share=True))
    named = select(Listener.endpoint_id).where(Listener.token_id == token_id, Listener.name == name)
    connection.execute(named.with_for_update())  # first of all: see `ending`


def _find(connection: Connection, token_id: str, name: str) -> Row[str, datetime, datetime | None] | None:
    return connection.execute(
        select(Listener.endpoint_id, Listener.ends_at, Endpoint.deleted_at)
        .join(Endpoint, Endpoint.id == Listener.endpoint_id)
        .where(Listener.token_id == token_id, Listener.name == name)
    ).first()


def _add_endpoint(connection: WriteConnection, workspace_id: str, new: NewListener, now: datetime) -> str:
    endpoint_id, values = ids.new("ep"), new.as_values()
    connection.execute(
        insert(Endpoint).values(
            id=endpoint_id,
            workspace_id=workspace_id,
            name=values.name,
            url=values.url,
            all_events=values.all_events,
            state=EndpointState.ENABLED,
            timeout_ms=values.timeout_ms,
            created_at=now,
            updated_at=now,
            is_listener=True,
        )
    )
    connection.execute(insert(EndpointHealth).values(endpoint_id=endpoint_id))
    return endpoint_id


def _configure(
    connection: WriteConnection, cipher: Cipher, endpoint_id: str, new: NewListener, now: datetime
) -> None:
    """Give the endpoint what is new, whether it is there, was deleted or is new; its secret stays."""
    connection.execute(
        update(Endpoint)
        .where(Endpoint.id == endpoint_id)
        .values(
            all_events=new.all_events,
            timeout_ms=new.timeout_ms,
            state=EndpointState.ENABLED,
            disabled_reason=None,
            disabled_at=None,
            deleted_at=None,
            updated_at=now,
        )
    )
    connection.execute(delete(Subscription).where(Subscription.endpoint_id == endpoint_id))
    endpoint_values.subscribe(connection, endpoint_id, new.as_values())
    has_secret = select(exists().where(SigningSecret.endpoint_id == endpoint_id))
    if not connection.execute(has_secret).scalar_one():
        add_secret(connection, cipher, endpoint_id, now)
    # What the program before had in hand when it died.
    connection.execute(
        update(PendingDelivery)
        .where(PendingDelivery.endpoint_id == endpoint_id, PendingDelivery.claimed_at.is_not(None))
        .values(next_attempt_at=now, claimed_at=None)
    )


def _write(
    connection: WriteConnection,
    session: ListenerSession,
    token_id: str,
    new: NewListener,
    now: datetime,
    *,
    is_new: bool,
    limits: ListenerLimits,
) -> None:
    values = {
        "forward_to": new.forward_to,
        "session_id": session.id,
        "ends_at": now + limits.kept_for,
    } | ({} if session.is_resumed else {"started_at": now})
    if is_new:
        key = {"endpoint_id": session.endpoint_id, "token_id": token_id, "name": new.name}
        connection.execute(insert(Listener).values(key | values))
    else:
        mine = Listener.endpoint_id == session.endpoint_id
        connection.execute(update(Listener).where(mine).values(values))


def _record(
    connection: WriteConnection,
    actor: Actor,
    workspace_id: str,
    session: ListenerSession,
    new: NewListener,
    now: datetime,
) -> None:
    audit.record(
        connection,
        actor,
        "listener.start",
        workspace_id=workspace_id,
        target=session.endpoint_id,
        now=now,
        name=new.name,
        forward_to=new.forward_to,
        event_types="all" if new.all_events else list(new.event_types),
        resumed=session.is_resumed,
    )
