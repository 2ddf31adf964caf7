"""Bring e-mail addresses that an older version stored to the spelling that log-ins look for today."""

from collections.abc import Iterator

from sqlalchemy import Connection, Update, select, update
from sqlalchemy.exc import IntegrityError

from webhooks_app.accounts import email_addresses
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Invitation, User, Workspace
from webhooks_app.db.write_connection import WriteConnection


def respell_all(database: WriteDatabase) -> list[str]:
    """Respell what has another spelling now; return a sentence for each address that a person must mend."""
    with database.begin() as connection:
        return [
            *_respell_users(connection),
            *_respell_invitations(connection),
            *_check_notice_addresses(connection),
        ]


def _respell_users(connection: WriteConnection) -> Iterator[str]:
    for user_id, email in connection.execute(select(User.id, User.email).order_by(User.id)).all():
        change = update(User).where(User.id == user_id)
        if problem := _respell(connection, email, change):
            yield f"The account {email!r} {problem} It can be used under exactly that spelling only."


def _respell_invitations(connection: WriteConnection) -> Iterator[str]:
    is_open = Invitation.closed_at.is_(None)
    for invitation_id, email in connection.execute(
        select(Invitation.id, Invitation.email).where(is_open)
    ).all():
        change = update(Invitation).where(Invitation.id == invitation_id)
        if problem := _respell(connection, email, change):
            yield f"The invitation of {email!r} {problem} Withdraw it, and invite the right address."


def _check_notice_addresses(connection: Connection) -> Iterator[str]:
    for name, addresses in connection.execute(select(Workspace.name, Workspace.notice_addresses)).all():
        for address in addresses:
            if problem := _problem(address):
                whose = f"The notice address {address!r} of workspace {name!r}"
                yield f"{whose} {problem} Correct it in the settings."


def _respell(connection: WriteConnection, email: str, change: Update) -> str:
    """Make the change where the address is spelled otherwise now; return what prevents it, or nothing."""
    if problem := _problem(email):
        return problem
    normal = email_addresses.normalize(email)
    if normal == email:
        return ""
    try:
        with connection.begin_nested():
            connection.execute(change.values(email=normal))
    except IntegrityError:
        return f"is another spelling of {normal!r}, which is there, too."
    return ""


def _problem(address: str) -> str:
    try:
        email_addresses.normalize(address)
    except ValueError as error:
        return f"is no valid address: {str(error).rpartition('example.com. ')[2]}"
    return ""
