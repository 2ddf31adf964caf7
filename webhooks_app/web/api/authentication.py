"""Who calls the API: the API token that each request bears."""

from datetime import timedelta

from flask import g, request
from sqlalchemy import bindparam, or_, select, update

from webhooks_app.core import clock, passwords
from webhooks_app.db.models import ApiToken
from webhooks_app.extensions import services
from webhooks_app.web.api.errors import refuse

# `last_used_at` is for people; writing it on each request would cost a transaction each.
LAST_USED_PRECISION = timedelta(minutes=1)

# Put together once: that takes longer than running it.
_TOKEN = select(ApiToken.id, ApiToken.workspace_id, ApiToken.last_used_at).where(
    ApiToken.token_hash == bindparam("token_hash"), ApiToken.revoked_at.is_(None)
)


def authenticate() -> None:
    """Set `g.workspace_id` and `g.token_id` from `Authorization: Bearer …` (RFC 6750). Raises ApiError."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        refuse(401, "unauthorized", "Send an API token: Authorization: Bearer tok_…")
    with services().read.connect_autocommit() as connection:
        row = connection.execute(_TOKEN, {"token_hash": passwords.hash_token(token.strip())}).first()
    if row is None:
        refuse(401, "unauthorized", "This API token is not valid.")
    g.workspace_id, g.token_id = row.workspace_id, row.id
    if row.last_used_at is None or clock.now() - row.last_used_at > LAST_USED_PRECISION:
        _record_use(row.id)


def _record_use(token_id: str) -> None:
    now = clock.now()
    stale = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at < now - LAST_USED_PRECISION)
    with services().write.begin() as connection:
        connection.execute(update(ApiToken).where(ApiToken.id == token_id, stale).values(last_used_at=now))
