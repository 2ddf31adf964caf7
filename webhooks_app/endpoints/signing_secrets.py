"""An endpoint's signing secrets. Each action is one transaction with its audit row."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, or_, select, update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids, signing
from webhooks_app.core.encryption import Cipher
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, SigningSecret

OVERLAPS = {"now": timedelta(0), "1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}


def rotate(
    database: WriteDatabase, cipher: Cipher, endpoint: Endpoint, *, overlap: timedelta, actor: Actor
) -> None:
    """A new secret signs at once; the one before it signs too until `overlap` has passed."""
    now = clock.now()
    with database.begin() as connection:
        connection.execute(
            update(SigningSecret)
            .where(SigningSecret.endpoint_id == endpoint.id)
            .where(or_(SigningSecret.expires_at.is_(None), SigningSecret.expires_at > now + overlap))
            .values(expires_at=now + overlap)
        )
        add_secret(connection, cipher, endpoint.id, now)
        touch(connection, endpoint.id, now)
        record_audit(
            connection,
            endpoint.workspace_id,
            endpoint.id,
            "secret.rotate",
            actor,
            now,
            overlap_seconds=int(overlap.total_seconds()),
        )


def revoke(database: WriteDatabase, endpoint: Endpoint, secret_id: str, *, actor: Actor) -> bool:
    """Stops a previous secret before its time; False if it had stopped. The current one cannot be revoked."""
    now = clock.now()
    with database.begin() as connection:
        revoked = connection.execute(
            update(SigningSecret)
            .where(SigningSecret.id == secret_id, SigningSecret.endpoint_id == endpoint.id)
            .where(SigningSecret.expires_at > now)
            .values(expires_at=now)
        ).rowcount
        if revoked:
            touch(connection, endpoint.id, now)
            record_audit(
                connection,
                endpoint.workspace_id,
                endpoint.id,
                "secret.revoke",
                actor,
                now,
                secret_id=secret_id,
            )
    return revoked == 1


def reveal(database: WriteDatabase, cipher: Cipher, endpoint: Endpoint, *, actor: Actor) -> list[str]:
    """The secrets in force, newest first; who looked is audited."""
    now = clock.now()
    with database.begin() as connection:
        ciphertexts = connection.scalars(
            select(SigningSecret.ciphertext)
            .where(SigningSecret.endpoint_id == endpoint.id)
            .where(or_(SigningSecret.expires_at.is_(None), SigningSecret.expires_at > now))
            .order_by(SigningSecret.created_at.desc(), SigningSecret.id.desc())
        ).all()
        record_audit(connection, endpoint.workspace_id, endpoint.id, "secret.reveal", actor, now)
    return [cipher.decrypt(endpoint.id, ciphertext) for ciphertext in ciphertexts]


def add_secret(connection: Connection, cipher: Cipher, endpoint_id: str, now: datetime) -> None:
    connection.execute(
        insert(SigningSecret).values(
            id=ids.new("sec"),
            endpoint_id=endpoint_id,
            ciphertext=cipher.encrypt(endpoint_id, signing.new_secret()),
            created_at=now,
        )
    )


def touch(connection: Connection, endpoint_id: str, now: datetime) -> None:
    # Workers keep what they loaded of an endpoint, its secrets included, until this moment changes.
    connection.execute(update(Endpoint).where(Endpoint.id == endpoint_id).values(updated_at=now))


def record_audit(
    connection: Connection,
    workspace_id: str,
    endpoint_id: str,
    action: str,
    actor: Actor,
    now: datetime,
    **details: object,
) -> None:
    audit.record(connection, actor, action, workspace_id=workspace_id, target=endpoint_id, now=now, **details)
