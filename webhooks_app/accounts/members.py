"""Members of a workspace and invitations to it. A workspace never loses its last admin."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from webhooks_app.accounts import audit, email_addresses, users
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids, passwords
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Invitation, Member, Role, User
from webhooks_app.db.write_connection import WriteConnection

INVITATION_LIFE = timedelta(days=7)


class LastAdmin(Exception):
    """The change would leave the workspace without an admin."""


class AlreadyMember(Exception):
    """Whoever has this e-mail address is a member already."""


class AlreadyInvited(Exception):
    """Somebody else has just invited this address."""


class InvitationClosed(Exception):
    """The invitation was accepted, withdrawn or has expired meanwhile."""


def add(database: WriteDatabase, workspace_id: str, user_id: str, role: Role, *, actor: Actor) -> None:
    with database.begin() as connection:
        add_in_transaction(connection, workspace_id, user_id, role, actor=actor)


def add_in_transaction(
    connection: WriteConnection, workspace_id: str, user_id: str, role: Role, *, actor: Actor
) -> None:
    """Make the user a member within the caller's transaction. Raises IntegrityError for a member."""
    now = clock.now()
    connection.execute(
        insert(Member).values(workspace_id=workspace_id, user_id=user_id, role=role, created_at=now)
    )
    audit.record(
        connection, actor, "member.add", workspace_id=workspace_id, target=user_id, now=now, role=role.value
    )


def change_role(database: WriteDatabase, member: Member, role: Role, *, actor: Actor) -> None:
    """Change a member's role. Raises LastAdmin."""

    def act(connection: WriteConnection) -> None:
        connection.execute(update(Member).where(*_is(member)).values(role=role))
        if role is not Role.ADMIN:
            _close_invitations_of(connection, member)
        audit.record(
            connection,
            actor,
            "member.change",
            workspace_id=member.workspace_id,
            target=member.user_id,
            now=clock.now(),
            role=role.value,
        )

    _act_unless_last_admin(database, member, act, keeps_admin=role is Role.ADMIN)


def remove(database: WriteDatabase, member: Member, *, actor: Actor) -> None:
    """Remove a member. Raises LastAdmin."""

    def act(connection: WriteConnection) -> None:
        connection.execute(delete(Member).where(*_is(member)))
        _close_invitations_of(connection, member)
        audit.record(
            connection,
            actor,
            "member.remove",
            workspace_id=member.workspace_id,
            target=member.user_id,
            now=clock.now(),
        )

    _act_unless_last_admin(database, member, act, keeps_admin=False)


def invite(database: WriteDatabase, workspace_id: str, email: str, role: Role, *, actor: Actor) -> str:
    """Invite an address; return the secret part of the link, of which only the hash is kept.

    Withdraws an older invitation of the address. Raises AlreadyMember, AlreadyInvited, and ValueError for
    what is no e-mail address.
    """
    token = passwords.new_link_token()
    try:
        with database.begin() as connection:
            _invite(connection, workspace_id, email_addresses.normalize(email), role, token, actor)
    except IntegrityError:
        raise AlreadyInvited from None
    return token


def _invite(
    connection: WriteConnection, workspace_id: str, email: str, role: Role, token: str, actor: Actor
) -> None:
    now, invitation_id = clock.now(), ids.new("inv")
    known = select(Member.user_id).join(User, User.id == Member.user_id)
    if connection.scalar(known.where(Member.workspace_id == workspace_id, User.email == email)):
        raise AlreadyMember
    connection.execute(
        update(Invitation)
        .where(Invitation.workspace_id == workspace_id, Invitation.email == email)
        .where(Invitation.closed_at.is_(None))
        .values(closed_at=now)
    )
    connection.execute(
        insert(Invitation).values(
            id=invitation_id,
            workspace_id=workspace_id,
            email=email,
            role=role,
            token_hash=passwords.hash_token(token),
            invited_by=actor.name,
            created_at=now,
            expires_at=now + INVITATION_LIFE,
        )
    )
    audit.record(
        connection,
        actor,
        "member.invite",
        workspace_id=workspace_id,
        target=invitation_id,
        now=now,
        email=email,
        role=role.value,
    )


def withdraw(database: WriteDatabase, invitation: Invitation, *, actor: Actor) -> bool:
    """Withdraw an invitation; False if it was accepted or withdrawn before."""
    now = clock.now()
    with database.begin() as connection:
        is_mine = _close(connection, invitation, now)
        if is_mine:
            audit.record(
                connection,
                actor,
                "member.withdraw",
                workspace_id=invitation.workspace_id,
                target=invitation.id,
                now=now,
                email=invitation.email,
            )
    return is_mine


def accept(
    database: WriteDatabase,
    invitation: Invitation,
    *,
    user_id: str | None,
    name: str = "",
    password: str = "",
    address: str = "",
) -> str:
    """Accept an invitation for the user, or for a new account without one; return the user's id.

    Raises InvitationClosed, AlreadyMember, and accounts.EmailTaken.
    """
    now, actor = clock.now(), Actor(invitation.email, address)
    hashed = "" if user_id else passwords.hash_password(password)
    try:
        with database.begin() as connection:
            if invitation.expires_at <= now or not _close(connection, invitation, now):
                raise InvitationClosed
            if user_id is None:
                user_id = users.add_in_transaction(
                    connection, email=invitation.email, name=name, password_hash=hashed
                )
            add_in_transaction(connection, invitation.workspace_id, user_id, invitation.role, actor=actor)
    except IntegrityError:
        with database.begin() as connection:  # the transaction above closed nothing
            _close(connection, invitation, now)
        raise AlreadyMember from None
    return user_id


def _close_invitations_of(connection: WriteConnection, member: Member) -> None:
    """Close the invitations that the member sent or has: who may no longer invite leaves none open."""
    email = select(User.email).where(User.id == member.user_id).scalar_subquery()
    connection.execute(
        update(Invitation)
        .where(Invitation.workspace_id == member.workspace_id, Invitation.closed_at.is_(None))
        .where(or_(Invitation.email == email, Invitation.invited_by == email))
        .values(closed_at=clock.now())
    )


def _close(connection: WriteConnection, invitation: Invitation, now: datetime) -> bool:
    closed = connection.execute(
        update(Invitation)
        .where(Invitation.id == invitation.id, Invitation.closed_at.is_(None))
        .values(closed_at=now)
    )
    return closed.rowcount == 1


def _act_unless_last_admin(
    database: WriteDatabase, member: Member, act: Callable[[WriteConnection], None], *, keeps_admin: bool
) -> None:
    with database.begin() as connection:
        # Locked, in one order: two admins who remove each other at once must not both succeed.
        admins = connection.scalars(
            select(Member.user_id)
            .where(Member.workspace_id == member.workspace_id, Member.role == Role.ADMIN)
            .order_by(Member.user_id)
            .with_for_update()
        ).all()
        if not keeps_admin and list(admins) == [member.user_id]:
            raise LastAdmin
        act(connection)


def _is(member: Member) -> tuple[Any, Any]:
    return Member.workspace_id == member.workspace_id, Member.user_id == member.user_id
