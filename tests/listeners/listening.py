"""A listener without the API around it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from webhooks_app.db.models import ApiToken, Listener
from webhooks_app.extensions import db, services
from webhooks_app.listeners import due_requests, listener_sessions
from webhooks_app.listeners.due_requests import DueRequest
from webhooks_app.listeners.listener_limits import DEFAULT_LIMITS, ListenerLimits
from webhooks_app.listeners.listener_sessions import ListenerSession, NewListener

WANTED = NewListener("laptop", True, (), 5000, "http://localhost:3000/hooks")
TIMEOUT = timedelta(seconds=5)


def token_of(workspace: Workspace) -> str:
    db.session.rollback()
    return db.session.scalars(select(ApiToken.id).where(ApiToken.workspace_id == workspace.id)).one()


def begin(workspace: Workspace, *, limits: ListenerLimits = DEFAULT_LIMITS, **wanted: Any) -> ListenerSession:
    found, token_id = services(), token_of(workspace)
    return listener_sessions.begin(
        found.write,
        found.cipher,
        workspace.id,
        token_id,
        replace(WANTED, **wanted),
        limits=limits,
        actor=TESTER,
    )


def claim(endpoint_id: str, limit: int = 10) -> list[DueRequest]:
    found = services()
    return due_requests.claim(found.databases, found.cipher, endpoint_id, limit=limit, timeout=TIMEOUT)


def listener(endpoint_id: str) -> Listener:
    db.session.rollback()
    return db.session.get_one(Listener, endpoint_id)
