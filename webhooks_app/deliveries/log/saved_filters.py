"""Filters of the log that a workspace's members share: saved under a name, renamed, removed."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.db import upsert
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import SavedFilter, Workspace
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.deliveries.log import filters
from webhooks_app.deliveries.log.filters import LogFilter

# They stand in a row above the log; more would be a list to search in.
MOST_FILTERS = 30


class NameTaken(Exception):
    """Another filter of the workspace has this name."""


class TooManyFilters(Exception):
    """The workspace has MOST_FILTERS already."""


def read_all(session: Session, workspace_id: str) -> Sequence[SavedFilter]:
    """Return the workspace's filters by name."""
    mine = select(SavedFilter).where(SavedFilter.workspace_id == workspace_id)
    return session.scalars(mine.order_by(func.lower(SavedFilter.name), SavedFilter.id)).all()


def save(
    database: WriteDatabase, workspace_id: str, name: str, log_filter: LogFilter, *, actor: Actor
) -> str:
    """Save the filter under a name and return its id. Raises NameTaken and TooManyFilters."""
    now = clock.now()
    row = {
        "id": ids.new("flt"),
        "workspace_id": workspace_id,
        "name": name,
        "filter": log_filter.arguments,
        "created_at": now,
    }
    with database.begin() as connection:
        # Two that are saved at once would both be the last that there may be.
        own = select(Workspace.id).where(Workspace.id == workspace_id)
        connection.execute(own.with_for_update(key_share=True))
        if _count(connection, workspace_id) >= MOST_FILTERS:
            raise TooManyFilters
        if not upsert.insert_if_new(connection, SavedFilter, row):
            raise NameTaken
        # Without the text that is looked for: it may be a customer's, and the audit log is kept for good.
        spelt = filters.spell_for_machines(log_filter.arguments)
        details = {key: value for key, value in spelt.items() if key != "q"}
        audit.record(
            connection,
            actor,
            "filter.save",
            workspace_id=workspace_id,
            target=str(row["id"]),
            now=now,
            name=name,
            **details,
        )
    return str(row["id"])


def rename(database: WriteDatabase, saved: SavedFilter, name: str, *, actor: Actor) -> bool:
    """Give it another name; return False if it has that, or is gone. Raises NameTaken."""
    changed = update(SavedFilter).where(SavedFilter.id == saved.id, SavedFilter.name != name)
    try:
        with database.begin() as connection:
            if not connection.execute(changed.values(name=name)).rowcount:
                return False
            _record(connection, saved, "filter.rename", actor, before=saved.name, name=name)
    except IntegrityError:
        raise NameTaken from None
    return True


def remove(database: WriteDatabase, saved: SavedFilter, *, actor: Actor) -> bool:
    """Remove it; return False if somebody else did."""
    with database.begin() as connection:
        if not connection.execute(delete(SavedFilter).where(SavedFilter.id == saved.id)).rowcount:
            return False
        _record(connection, saved, "filter.remove", actor, name=saved.name)
    return True


def _count(connection: Connection, workspace_id: str) -> int:
    mine = select(func.count()).select_from(SavedFilter).where(SavedFilter.workspace_id == workspace_id)
    return connection.scalar(mine) or 0


def _record(
    connection: WriteConnection, saved: SavedFilter, action: str, actor: Actor, **details: str
) -> None:
    audit.record(
        connection,
        actor,
        action,
        workspace_id=saved.workspace_id,
        target=saved.id,
        now=clock.now(),
        **details,
    )
