"""Workspaces and their settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from webhooks_app.accounts import audit, members
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import ReadDatabase, WriteDatabase
from webhooks_app.db.models import Role, User, Workspace
from webhooks_app.db.write_connection import WriteConnection

LONGEST_RETENTION_DAYS = 365


@dataclass(slots=True, frozen=True)
class WorkspaceValues:
    """What an admin can set; without addresses, notices go to the admins.

    `payload_days` None keeps payloads as long as the log.
    """

    name: str
    retention_days: int
    default_timeout_ms: int
    notice_addresses: Sequence[str]
    payload_days: int | None
    requires_second_factor: bool = False


def create(database: WriteDatabase, name: str, *, actor: Actor) -> str:
    """Create a workspace without members; return its id."""
    with database.begin() as connection:
        return create_in_transaction(connection, name, actor=actor)


def create_with_admin(database: WriteDatabase, name: str, user: User, *, actor: Actor) -> str:
    """Create a workspace with `user` as its first admin; return its id."""
    with database.begin() as connection:
        workspace_id = create_in_transaction(connection, name, actor=actor)
        members.add_in_transaction(connection, workspace_id, user.id, Role.ADMIN, actor=actor)
    return workspace_id


def change(database: WriteDatabase, workspace: Workspace, values: WorkspaceValues, *, actor: Actor) -> None:
    """Change what an admin can set; the audit row names what differs."""
    now = clock.now()
    new = {
        "name": values.name,
        "retention_days": values.retention_days,
        "payload_days": values.payload_days,
        "default_timeout_ms": values.default_timeout_ms,
        "notice_addresses": list(values.notice_addresses),
        "requires_second_factor": values.requires_second_factor,
    }
    changed = {name: value for name, value in new.items() if getattr(workspace, name) != value}
    with database.begin() as connection:
        connection.execute(update(Workspace).where(Workspace.id == workspace.id).values(new))
        audit.record(
            connection,
            actor,
            "workspace.change",
            workspace_id=workspace.id,
            target=workspace.id,
            now=now,
            **changed,
        )


def is_empty(database: ReadDatabase) -> bool:
    """Return whether there is no workspace at all."""
    with database.connect() as connection:
        return connection.execute(select(Workspace.id).limit(1)).first() is None


def create_in_transaction(connection: WriteConnection, name: str, *, actor: Actor) -> str:
    """Create a workspace as `create` does, within the caller's transaction."""
    workspace_id, now = ids.new("ws"), clock.now()
    connection.execute(
        insert(Workspace).values(id=workspace_id, name=name, created_at=now, notice_addresses=[])
    )
    audit.record(
        connection, actor, "workspace.create", workspace_id=workspace_id, target=workspace_id, now=now
    )
    return workspace_id
