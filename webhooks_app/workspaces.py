"""Workspaces, people and tokens: what has to exist before anything can be sent."""

import secrets

from sqlalchemy import Engine as Database
from sqlalchemy import insert, select, update

from webhooks_app import audit, clock, ids, passwords
from webhooks_app.audit import Actor
from webhooks_app.models import ApiToken, Member, Role, User, Workspace


def create(database: Database, name: str, *, actor: Actor) -> str:
    workspace_id = ids.new("ws")
    now = clock.now()
    with database.begin() as connection:
        connection.execute(insert(Workspace).values(id=workspace_id, name=name, created_at=now))
        audit.record(
            connection, actor, "workspace.create", workspace_id=workspace_id, target=workspace_id, now=now
        )
    return workspace_id


def add_user(database: Database, *, email: str, name: str, password: str) -> str:
    user_id = ids.new("usr")
    with database.begin() as connection:
        connection.execute(
            insert(User).values(
                id=user_id,
                email=email.strip().lower(),
                name=name,
                password_hash=passwords.hash_password(password),
                session_key=secrets.token_urlsafe(24),
                created_at=clock.now(),
            )
        )
    return user_id


def add_member(database: Database, workspace_id: str, user_id: str, role: Role, *, actor: Actor) -> None:
    now = clock.now()
    with database.begin() as connection:
        connection.execute(
            insert(Member).values(workspace_id=workspace_id, user_id=user_id, role=role, created_at=now)
        )
        audit.record(
            connection,
            actor,
            "member.add",
            workspace_id=workspace_id,
            target=user_id,
            now=now,
            role=role.value,
        )


def add_token(database: Database, workspace_id: str, name: str, *, actor: Actor) -> str:
    """The token itself; only its hash is kept."""
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
                hint=token[:8],
                created_at=now,
            )
        )
        audit.record(connection, actor, "token.create", workspace_id=workspace_id, target=token_id, now=now)
    return token


def revoke_token(database: Database, token: ApiToken, *, actor: Actor) -> None:
    now = clock.now()
    with database.begin() as connection:
        connection.execute(
            update(ApiToken)
            .where(ApiToken.id == token.id, ApiToken.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        audit.record(
            connection, actor, "token.revoke", workspace_id=token.workspace_id, target=token.id, now=now
        )


def end_sessions(database: Database, user: User, *, actor: Actor) -> None:
    """Signs the person out everywhere."""
    now = clock.now()
    with database.begin() as connection:
        connection.execute(
            update(User).where(User.id == user.id).values(session_key=secrets.token_urlsafe(24))
        )
        audit.record(connection, actor, "session.end_all", workspace_id=None, target=user.id, now=now)


def is_empty(database: Database) -> bool:
    with database.connect() as connection:
        return connection.execute(select(Workspace.id).limit(1)).first() is None
