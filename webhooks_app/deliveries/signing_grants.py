"""Grants by which a command has one delivery signed afresh, without ever seeing a signing secret.

A grant is signed, not stored. It names a delivery and who asked; it is good for GRANT_LIFE, for that delivery
alone, and while that person is an admin of the workspace. What it yields is what the admin sees anyway, the
body and where it goes, with a signature that receivers take for a few minutes. The values of custom headers
are secrets of the receiver's and stay here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import Connection, Row, select

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, signing
from webhooks_app.core.encryption import Cipher
from webhooks_app.core.text_display import MASK
from webhooks_app.db import event_bodies
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Delivery, Endpoint, Event, Member, Role, User
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.worker import signed_requests

GRANT_LIFE = timedelta(minutes=10)

_SALT = "avra.signed-delivery"


class GrantRefused(Exception):
    """It has expired or is damaged, what it is for is gone, or the person is no admin any more."""


@dataclass(slots=True, frozen=True)
class SignedDelivery:
    """A delivery as it would be sent now, without the custom headers, whose values are not shown."""

    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes


def make(
    database: WriteDatabase,
    secret_key: str,
    workspace_id: str,
    delivery_id: str,
    user_id: str,
    *,
    actor: Actor,
) -> str:
    """Return a grant for the delivery, which is the workspace's, to the person."""
    with database.begin() as connection:
        _record(connection, "delivery.grant", workspace_id, delivery_id, actor)
    return _serializer(secret_key).dumps([workspace_id, delivery_id, user_id])


def redeem(
    databases: Databases,
    cipher: Cipher,
    secret_key: str,
    grant: str,
    *,
    address: str,
    life: timedelta = GRANT_LIFE,
) -> SignedDelivery:
    """Sign the delivery of the grant with the secrets in force now. Raises GrantRefused."""
    try:
        claims = _serializer(secret_key).loads(grant, max_age=int(life.total_seconds()))
        workspace_id, delivery_id, user_id = map(str, claims)
    except (BadData, ValueError):
        raise GrantRefused from None
    now = clock.now()
    with databases.read.connect() as connection:
        row = _find(connection, workspace_id, delivery_id, user_id)
        body = event_bodies.of_event(row.event_id, row.body)
        if not body:  # what is stored is damaged
            raise GrantRefused
        headers = signed_requests.preview(
            connection, cipher, row.endpoint_id, delivery_id=delivery_id, body=body, now=now
        )
    if not dict(headers)[signing.SIGNATURE_HEADER]:  # no secret of it can be decrypted
        raise GrantRefused
    with databases.write.begin() as connection:
        _record(connection, "delivery.sign", workspace_id, delivery_id, Actor(row.email, address))
    shown_headers = [(name, value) for name, value in headers if value != MASK]
    return SignedDelivery(row.url, shown_headers, body)


def _find(
    connection: Connection, workspace_id: str, delivery_id: str, user_id: str
) -> Row[*tuple[object, ...]]:
    row = connection.execute(
        select(Delivery.endpoint_id, Delivery.event_id, Endpoint.url, Event.body, User.email)
        .join(Endpoint, Endpoint.id == Delivery.endpoint_id)
        .join(Event, Event.id == Delivery.event_id)
        .join(Member, Member.workspace_id == Delivery.workspace_id)
        .join(User, User.id == Member.user_id)
        .where(Delivery.id == delivery_id, Delivery.workspace_id == workspace_id)
        .where(Event.payload_erased_at.is_(None), Endpoint.deleted_at.is_(None))
        .where(Member.user_id == user_id, Member.role == Role.ADMIN)
    ).one_or_none()
    if row is None:
        raise GrantRefused
    return row


def _record(
    connection: WriteConnection, action: str, workspace_id: str, delivery_id: str, actor: Actor
) -> None:
    audit.record(connection, actor, action, workspace_id=workspace_id, target=delivery_id, now=clock.now())


def _serializer(secret_key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt=_SALT)
