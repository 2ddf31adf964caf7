"""An endpoint's signing secrets. Each action is one transaction with its audit row."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, or_, select, update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids, signing
from webhooks_app.core.encryption import Cipher
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, SigningSecret
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints import optimistic_lock

OVERLAPS = {"now": timedelta(0), "1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}


@dataclass(slots=True, frozen=True)
class RevealedSecret:
    """A secret in force; `expires_at` is unset for the current one."""

    id: str
    value: str
    created_at: datetime
    expires_at: datetime | None


def rotate(
    database: WriteDatabase,
    cipher: Cipher,
    endpoint: Endpoint,
    *,
    overlap: timedelta,
    seen_at: datetime | None = None,
    actor: Actor,
) -> None:
    """Add a secret that signs at once; those before it sign too until `overlap` has passed.

    Raises ChangedMeanwhile where `seen_at` is given and the endpoint's `updated_at` is another.
    """
    now = clock.now()
    with database.begin() as connection:
        optimistic_lock.check(connection, endpoint.id, seen_at)
        connection.execute(
            update(SigningSecret)
            .where(SigningSecret.endpoint_id == endpoint.id)
            .where(or_(SigningSecret.expires_at.is_(None), SigningSecret.expires_at > now + overlap))
            .values(expires_at=now + overlap)
        )
        add_secret(connection, cipher, endpoint.id, now)
        mark_changed(connection, endpoint.id, now)
        audit.record(
            connection,
            actor,
            "secret.rotate",
            workspace_id=endpoint.workspace_id,
            target=endpoint.id,
            now=now,
            overlap_seconds=int(overlap.total_seconds()),
        )


def revoke(database: WriteDatabase, endpoint: Endpoint, secret_id: str, *, actor: Actor) -> bool:
    """Stop a previous secret before its time; False if it had stopped. The current one cannot be revoked."""
    now = clock.now()
    with database.begin() as connection:
        revoked = connection.execute(
            update(SigningSecret)
            .where(SigningSecret.id == secret_id, SigningSecret.endpoint_id == endpoint.id)
            .where(SigningSecret.expires_at > now)
            .values(expires_at=now)
        ).rowcount
        if revoked:
            mark_changed(connection, endpoint.id, now)
            audit.record(
                connection,
                actor,
                "secret.revoke",
                workspace_id=endpoint.workspace_id,
                target=endpoint.id,
                now=now,
                secret_id=secret_id,
            )
    return revoked == 1


def reveal(database: WriteDatabase, cipher: Cipher, endpoint: Endpoint, *, actor: Actor) -> list[str]:
    """Return the secrets in force, newest first, and record who looked. Raises DecryptionError."""
    return [secret.value for secret in reveal_each(database, cipher, endpoint, actor=actor)]


def reveal_each(
    database: WriteDatabase, cipher: Cipher, endpoint: Endpoint, *, actor: Actor
) -> list[RevealedSecret]:
    """Return the same with what is known of each. Raises DecryptionError."""
    now = clock.now()
    with database.begin() as connection:
        rows = connection.execute(
            select(
                SigningSecret.id,
                SigningSecret.ciphertext,
                SigningSecret.created_at,
                SigningSecret.expires_at,
            )
            .where(SigningSecret.endpoint_id == endpoint.id)
            .where(or_(SigningSecret.expires_at.is_(None), SigningSecret.expires_at > now))
            .order_by(SigningSecret.created_at.desc(), SigningSecret.id.desc())
        ).all()
        audit.record(
            connection,
            actor,
            "secret.reveal",
            workspace_id=endpoint.workspace_id,
            target=endpoint.id,
            now=now,
        )
    return [
        RevealedSecret(row.id, cipher.decrypt(endpoint.id, row.ciphertext), row.created_at, row.expires_at)
        for row in rows
    ]


def add_secret(connection: WriteConnection, cipher: Cipher, endpoint_id: str, now: datetime) -> None:
    connection.execute(
        insert(SigningSecret).values(
            id=ids.new("sec"),
            endpoint_id=endpoint_id,
            ciphertext=cipher.encrypt(endpoint_id, signing.new_secret()),
            created_at=now,
        )
    )


def mark_changed(connection: WriteConnection, endpoint_id: str, now: datetime) -> None:
    """Have workers load the endpoint anew: they keep it, its secrets included, until `updated_at` changes."""
    connection.execute(update(Endpoint).where(Endpoint.id == endpoint_id).values(updated_at=now))
