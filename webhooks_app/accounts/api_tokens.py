"""API tokens: what internal apps send events with."""

from sqlalchemy import insert, update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids, passwords
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken

HINT_LENGTH = 8


def create(database: WriteDatabase, workspace_id: str, name: str, *, actor: Actor) -> str:
    """Create a token and return it; only its hash is kept."""
    token = passwords.new_token()
    now = clock.now()
    token_id = ids.new("tok")
    with database.begin() as connection:
        connection.execute(
            insert(ApiToken).values(
                id=token_id,
                workspace_id=workspace_id,
                name=name,
                token_hash=passwords.hash_token(token),
                hint=token[:HINT_LENGTH],
                created_at=now,
            )
        )
        audit.record(
            connection, actor, "token.create", workspace_id=workspace_id, target=token_id, now=now, name=name
        )
    return token


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
