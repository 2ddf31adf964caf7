"""API tokens: what internal apps send events with, and programs manage endpoints."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from webhooks_app.accounts import audit, security_mails, token_scopes
from webhooks_app.accounts.audit import Actor
from webhooks_app.accounts.token_scopes import FIRST_SCOPES, TokenScope
from webhooks_app.core import clock, ids, passwords
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken, Workspace
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.db.write_connection import WriteConnection

HINT_LENGTH = 8
# `last_used_at` is for people; writing it on each request would cost a transaction each.
LAST_USED_PRECISION = timedelta(minutes=1)

# The condition in SQL for a token that works; binds :now.
IS_LIVE = "token.revoked_at IS NULL AND (token.expires_at IS NULL OR token.expires_at > :now)"

# Put together once: that takes longer than running it.
_FIND = select(
    ApiToken.token_hash,
    ApiToken.id,
    ApiToken.workspace_id,
    ApiToken.last_used_at,
    ApiToken.name,
    ApiToken.scopes,
    ApiToken.rate_per_second,
    ApiToken.burst,
).where(
    ApiToken.token_hash.in_(bindparam("hashes")),
    ApiToken.revoked_at.is_(None),
    or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > bindparam("now", type_=UtcDateTime)),
)


@dataclass(slots=True, frozen=True)
class LiveToken:
    """A token that was neither revoked nor has expired."""

    id: str
    workspace_id: str
    last_used_at: datetime | None
    name: str = ""
    scopes: frozenset[TokenScope] = FIRST_SCOPES
    limit: RateLimit | None = None  # of its own
    token_hash: str = field(default="", compare=False, repr=False)


def find(connection: Connection, hashes: Collection[str]) -> dict[str, LiveToken]:
    """Return the live tokens among those with these hashes, by their hash."""
    rows = connection.execute(_FIND, {"hashes": list(hashes), "now": clock.now()}).all()
    return {row.token_hash: of_row(row) for row in rows}


def of_row(row: Any) -> LiveToken:
    """Return the token of a row with the columns of LiveToken."""
    return LiveToken(
        row.id,
        row.workspace_id,
        row.last_used_at,
        row.name,
        token_scopes.parse(row.scopes),
        RateLimit.of(row.rate_per_second, row.burst),
        row.token_hash,
    )


def record_use(database: WriteDatabase, token: LiveToken) -> None:
    """Record that the token is used now, unless that was recorded a moment ago."""
    now = clock.now()
    if token.last_used_at is not None and now - token.last_used_at <= LAST_USED_PRECISION:
        return
    stale = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at < now - LAST_USED_PRECISION)
    with database.begin() as connection:
        connection.execute(update(ApiToken).where(ApiToken.id == token.id, stale).values(last_used_at=now))


def create(
    database: WriteDatabase,
    workspace_id: str,
    name: str,
    *,
    scopes: Collection[TokenScope] = FIRST_SCOPES,
    expires_at: datetime | None = None,
    rate_per_second: int | None = None,
    burst: int | None = None,
    actor: Actor,
) -> str:
    """Create a token and return it; only its hash is kept.

    Without `expires_at` it is good until it is revoked; without `rate_per_second`, of events, the settings'
    limit holds. See `RateLimit` for `burst`.
    """
    with database.begin() as connection:
        return create_in_transaction(
            connection,
            workspace_id,
            name,
            scopes=scopes,
            expires_at=expires_at,
            rate_per_second=rate_per_second,
            burst=burst,
            actor=actor,
        )


def create_in_transaction(
    connection: WriteConnection,
    workspace_id: str,
    name: str,
    *,
    scopes: Collection[TokenScope] = FIRST_SCOPES,
    expires_at: datetime | None = None,
    rate_per_second: int | None = None,
    burst: int | None = None,
    actor: Actor,
) -> str:
    """Create a token as `create` does, within the caller's transaction."""
    token, token_id, now = passwords.new_token(), ids.new("tok"), clock.now()
    stored_scopes = token_scopes.join(scopes)
    connection.execute(
        insert(ApiToken).values(
            id=token_id,
            workspace_id=workspace_id,
            name=name,
            token_hash=passwords.hash_token(token),
            hint=token[:HINT_LENGTH],
            created_at=now,
            scopes=stored_scopes,
            expires_at=expires_at,
            rate_per_second=rate_per_second,
            burst=burst,
        )
    )
    bounds = {
        **({"expires_at": clock.format_rfc3339(expires_at)} if expires_at else {}),
        **({"rate_limit": str(limit)} if (limit := RateLimit.of(rate_per_second, burst)) else {}),
    }
    details = {"name": name, "scopes": stored_scopes}
    _record_creation(connection, workspace_id, token_id, details, bounds, actor=actor, now=now)
    return token


def _record_creation(
    connection: WriteConnection,
    workspace_id: str,
    token_id: str,
    details: dict[str, str],
    bounds: dict[str, str],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Audit the new token, and mail its creator; `bounds` stand in the audit log only."""
    audit.record(
        connection,
        actor,
        "token.create",
        workspace_id=workspace_id,
        target=token_id,
        now=now,
        **details,
        **bounds,
    )
    workspace = connection.scalar(select(Workspace.name).where(Workspace.id == workspace_id))
    security_mails.enqueue_for_actor(
        connection,
        "token.create",
        actor=actor.name,
        address=actor.address,
        details={"name": details["name"], "workspace": workspace, "scopes": details["scopes"]},
        now=now,
    )


def change_limit(
    database: WriteDatabase,
    token: ApiToken,
    *,
    rate_per_second: int | None,
    burst: int | None,
    actor: Actor,
) -> bool:
    """Give a token another rate limit, or with None that of the settings; False if it is revoked."""
    now = clock.now()
    limit = RateLimit.of(rate_per_second, burst)
    with database.begin() as connection:
        changed = connection.execute(
            update(ApiToken)
            .where(ApiToken.id == token.id, ApiToken.revoked_at.is_(None))
            .values(rate_per_second=rate_per_second, burst=burst)
        ).rowcount
        if changed:
            audit.record(
                connection,
                actor,
                "token.limit",
                workspace_id=token.workspace_id,
                target=token.id,
                now=now,
                name=token.name,
                rate_limit=str(limit) if limit else "as the settings say",
            )
    return changed == 1


def revoke(database: WriteDatabase, token: ApiToken, *, actor: Actor) -> bool:
    """Revoke a token; False if it was revoked before."""
    now = clock.now()
    with database.begin() as connection:
        revoked = connection.execute(
            update(ApiToken)
            .where(ApiToken.id == token.id, ApiToken.revoked_at.is_(None))
            .values(revoked_at=now)
        ).rowcount
        if revoked:
            audit.record(
                connection,
                actor,
                "token.revoke",
                workspace_id=token.workspace_id,
                target=token.id,
                now=now,
                name=token.name,
            )
    return revoked == 1
