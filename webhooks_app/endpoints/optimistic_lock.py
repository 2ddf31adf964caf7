"""Changes that somebody asks for upon an endpoint as they saw it: refused once it has been changed since."""

from datetime import datetime

from sqlalchemy import select

from webhooks_app.db.models import Endpoint
from webhooks_app.db.write_connection import WriteConnection


class ChangedMeanwhile(Exception):
    """The endpoint is no longer as it was when its `updated_at` was read."""


def check(connection: WriteConnection, endpoint_id: str, seen_at: datetime | None) -> None:
    """Lock the endpoint, and raise ChangedMeanwhile unless its `updated_at` is `seen_at`.

    Without `seen_at`, does nothing.
    """
    if seen_at is None:
        return
    stored = select(Endpoint.updated_at).where(Endpoint.id == endpoint_id, Endpoint.deleted_at.is_(None))
    if connection.scalar(stored.with_for_update()) != seen_at:
        raise ChangedMeanwhile
