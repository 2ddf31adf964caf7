"""Who did what: one row for every action that changes something or shows a secret, never a secret itself."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from webhooks_app import ids
from webhooks_app.models import AuditEntry


@dataclass(slots=True, frozen=True)
class Actor:
    """Who acts: a person's e-mail address or a process, and the address the request came from."""

    name: str
    address: str = ""


def record(
    connection: Connection,
    actor: Actor,
    action: str,
    *,
    workspace_id: str | None,
    target: str,
    now: datetime,
    **details: Any,
) -> None:
    """Adds the row to the caller's transaction: an action and its audit row stand or fall together."""
    connection.execute(
        insert(AuditEntry).values(
            id=ids.new("aud"),
            workspace_id=workspace_id,
            actor=actor.name,
            action=action,
            target=target,
            details=json.dumps(details, ensure_ascii=False),
            address=actor.address,
            created_at=now,
        )
    )
