"""What somebody is to be told by e-mail of a change of their account, noted in the transaction that makes it.

`security_mail_runs` sends it, wherever a mail server is set, so that no change waits for one or fails by it.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from webhooks_app.accounts.security_mail_texts import SUBJECTS
from webhooks_app.core import ids
from webhooks_app.db.models import SecurityMail, User
from webhooks_app.db.write_connection import WriteConnection

# Actions that an account's owner is e-mailed about, as somebody else may have taken them.
MAILED_ACTIONS = frozenset(SUBJECTS)


def enqueue_for_person(
    connection: WriteConnection,
    action: str,
    user_id: str,
    *,
    actor: str,
    address: str,
    details: Mapping[str, Any],
    now: datetime,
) -> None:
    """Note it, if it is one of MAILED_ACTIONS, for the address that the account has now."""
    _note(connection, action, User.id, user_id, actor, address, details, now)


def enqueue_for_actor(
    connection: WriteConnection,
    action: str,
    *,
    actor: str,
    address: str,
    details: Mapping[str, Any],
    now: datetime,
) -> None:
    """Note it for whoever did it, if that is a person with an account."""
    _note(connection, action, User.email, actor, actor, address, details, now)


def _note(
    connection: WriteConnection,
    action: str,
    column: InstrumentedAttribute[str],
    value: str,
    actor: str,
    address: str,
    details: Mapping[str, Any],
    now: datetime,
) -> None:
    if action not in MAILED_ACTIONS:
        return
    row = {
        "id": ids.new("sml"),
        "action": action,
        "actor": actor,
        "address": address,
        "details": json.dumps(details, ensure_ascii=False),
        "created_at": now,
        "due_at": now,
        "tries": 0,
    }
    table = SecurityMail.__table__
    values = [literal(row[name], table.c[name].type) for name in row]
    theirs = select(User.email, *values).where(column == value)
    connection.execute(insert(SecurityMail).from_select(["email", *row], theirs))
