"""What manages an endpoint, such as a file that `avra apply` reads: it overwrites what people change."""

from sqlalchemy import update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint


def release(database: WriteDatabase, endpoint: Endpoint, *, actor: Actor) -> bool:
    """Clear `managed_by` and change nothing else; return False if nothing managed it."""
    now = clock.now()
    with database.begin() as connection:
        released = connection.execute(
            update(Endpoint)
            .where(
                Endpoint.id == endpoint.id, Endpoint.deleted_at.is_(None), Endpoint.managed_by.is_not(None)
            )
            .values(managed_by=None, updated_at=now)
        ).rowcount
        if released:
            audit.record(
                connection,
                actor,
                "endpoint.release",
                workspace_id=endpoint.workspace_id,
                target=endpoint.id,
                now=now,
                managed_by_before=endpoint.managed_by,
            )
    return released == 1
