"""Write the audit log: a row for each action that changes something or shows a secret, without the secret."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from webhooks_app.accounts import security_mails
from webhooks_app.core import clock, ids
from webhooks_app.db.models import AuditEntry, Member
from webhooks_app.db.write_connection import WriteConnection

# Every action there is, as people read it behind the name of whoever acted.
ACTIONS = {
    "session.log_in": "logged in",
    "session.link_made": "made a link that logs somebody in",
    "session.link": "used an operator’s link to log in",
    "session.refuse": "failed to log in",
    "session.log_out": "logged out",
    "session.end": "ended a session of their own",
    "session.end_others": "ended their other sessions",
    "session.end_all": "logged out everywhere",
    "profile.change": "changed their name",
    "profile.password": "changed their password",
    "profile.remove": "removed an account",
    "profile.reset": "asked for a link to set a new password",
    "second_factor.on": "turned on two-factor authentication",
    "second_factor.off": "turned off two-factor authentication",
    "second_factor.codes": "made new recovery codes",
    "second_factor.recover": "logged in with a recovery code",
    "second_factor.reset": "reset somebody’s two-factor authentication",
    "second_factor.refuse": "failed to show their second factor",
    "passkey.add": "added a passkey",
    "passkey.rename": "renamed a passkey",
    "passkey.remove": "removed a passkey",
    "passkey.refuse": "failed to log in with a passkey",
    "sso.connect": "connected an account at the provider",
    "sso.disconnect": "disconnected their account at the provider",
    "workspace.create": "created the workspace",
    "workspace.change": "changed the workspace’s settings",
    "member.invite": "invited somebody",
    "member.withdraw": "withdrew an invitation",
    "member.add": "added a member",
    "member.change": "changed a member’s role",
    "member.remove": "removed a member",
    "token.create": "created an API token",
    "token.limit": "changed an API token’s rate limit",
    "token.revoke": "revoked an API token",
    "endpoint.create": "added an endpoint",
    "endpoint.change": "changed an endpoint",
    "endpoint.enable": "enabled an endpoint",
    "endpoint.disable": "disabled an endpoint",
    "endpoint.warning": "announced that an endpoint may be disabled",
    "endpoint.final_warning": "announced that an endpoint is about to be disabled",
    "endpoint.delete": "deleted an endpoint",
    "endpoint.release": "stopped managing an endpoint by a file",
    "endpoint.test": "sent a test event",
    "listener.start": "began to listen",
    "listener.end": "ended a listener",
    "secret.reveal": "revealed a signing secret",
    "secret.rotate": "rotated a signing secret",
    "secret.revoke": "revoked a previous secret",
    "delivery.replay": "replayed a delivery",
    "delivery.grant": "made a command that signs a delivery afresh",
    "delivery.sign": "had a delivery signed afresh by a command",
    "delivery.cancel": "canceled a delivery",
    "event.erase": "erased the payload of an event",
    "filter.save": "saved a filter of the log",
    "filter.rename": "renamed a filter of the log",
    "filter.remove": "removed a filter of the log",
    "recovery.start": "started a recovery",
    "recovery.cancel": "canceled a recovery",
}


@dataclass(slots=True, frozen=True)
class Actor:
    """Who acts: a person's e-mail address or a process, and the address the request came from."""

    name: str
    address: str = ""


def record(
    connection: WriteConnection,
    actor: Actor,
    action: str,
    *,
    workspace_id: str | None,
    target: str,
    now: datetime,
    **details: Any,
) -> None:
    """Add an audit row to the caller's transaction: an action and its row stand or fall together."""
    record_each(connection, actor, action, workspace_id=workspace_id, targets=[target], now=now, **details)


def record_for_person(
    connection: WriteConnection, actor: Actor, action: str, user_id: str, **details: str
) -> None:
    """Record it for the account as `record_in_each_workspace` does, and e-mail the person about it.

    Only of MAILED_ACTIONS, which somebody else may have taken in their name.
    """
    now = clock.now()
    record_in_each_workspace(connection, actor, action, user_id, now=now, **details)
    security_mails.enqueue_for_person(
        connection, action, user_id, actor=actor.name, address=actor.address, details=details, now=now
    )


def record_in_each_workspace(
    connection: WriteConnection, actor: Actor, action: str, user_id: str, *, now: datetime, **details: Any
) -> None:
    """Add an audit row for the account, and one for each workspace that its person is a member of."""
    mine = select(Member.workspace_id).where(Member.user_id == user_id).order_by(Member.workspace_id)
    for workspace_id in (None, *connection.scalars(mine)):
        record(connection, actor, action, workspace_id=workspace_id, target=user_id, now=now, **details)


def record_each(
    connection: WriteConnection,
    actor: Actor,
    action: str,
    *,
    workspace_id: str | None,
    targets: Sequence[str],
    now: datetime,
    **details: Any,
) -> None:
    """Add an audit row for each of the targets, as `record` does for one, in one statement."""
    assert action in ACTIONS, f"give {action} its words"
    shared = {
        "workspace_id": workspace_id,
        "actor": actor.name,
        "action": action,
        "details": json.dumps(details, ensure_ascii=False),
        "address": actor.address,
        "created_at": now,
    }
    names = ids.several("aud", len(targets))
    rows = [shared | {"id": name, "target": target} for name, target in zip(names, targets, strict=True)]
    if rows:
        connection.execute(insert(AuditEntry), rows)
