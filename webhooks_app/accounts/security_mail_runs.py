"""Sending the e-mails about changes of accounts; what the server does not take is tried for two days."""

import json
import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, delete, func, select, update

from webhooks_app.accounts import security_mail_texts
from webhooks_app.core import clock, mail
from webhooks_app.core.mail import Email, MailError, MailServer
from webhooks_app.db.engines import Databases, ReadDatabase, WriteDatabase
from webhooks_app.db.models import SecurityMail

log = logging.getLogger(__name__)

# Whether somebody else is in one's account is still worth knowing then.
LIFE = timedelta(days=2)
# Longer than any hand-over takes, even if the server answers each step just before
# `MailServer.timeout_seconds`; an e-mail not sent by then was left by a process that died, and is due again.
LONGEST_SEND = timedelta(minutes=5)
# Behind what the server did not take; doubled with each try: 1, 2, 4 … minutes, at most an hour.
FIRST_PAUSE = timedelta(minutes=1)
EMAILS_PER_RUN = 50
# Somebody whose program makes one token after the other keeps nobody waiting, nor fills a mailbox at once.
EMAILS_PER_ADDRESS = 5


def has_due(database: ReadDatabase, *, now: datetime) -> bool:
    with database.connect() as connection:
        return connection.execute(_due(now).limit(1)).first() is not None


def send_due(
    databases: Databases, server: MailServer, *, base_url: str, takes_passwords: bool, now: datetime
) -> int:
    """Send what is due; return how many went out. What fails is due again later."""
    with databases.read.connect() as connection:
        due = connection.execute(_in_turns(_due(now))).all()
    count = 0
    for row in due:
        if _claim(databases.write, row):
            count += _send(databases.write, server, row, _compose(row, base_url, takes_passwords))
    return count


def delete_old(database: WriteDatabase, *, now: datetime) -> None:
    """Delete what was never sent and is no news any more, as where there is no mail server."""
    with database.begin() as connection:
        connection.execute(delete(SecurityMail).where(SecurityMail.created_at <= now - LIFE))


def _due(now: datetime) -> Select[*tuple[Any, ...]]:
    is_due = SecurityMail.due_at <= now, SecurityMail.created_at > now - LIFE
    return select(*SecurityMail.__table__.columns).where(*is_due).order_by(SecurityMail.id)


def _in_turns(due: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Return what one run sends: the first of each address, then the second of each, and so on."""
    turn = func.row_number().over(partition_by=SecurityMail.email, order_by=SecurityMail.id)
    found = due.order_by(None).add_columns(turn.label("turn")).subquery()
    own = found.c.turn <= EMAILS_PER_ADDRESS
    return select(found).where(own).order_by(found.c.turn, found.c.id).limit(EMAILS_PER_RUN)


def _claim(database: WriteDatabase, row: Row[Any]) -> bool:
    """Make it due again later, in case this process dies; return False if another has claimed it.

    From now on, as a run may have been at others for minutes.
    """
    later = clock.now() + LONGEST_SEND
    mine = update(SecurityMail).where(SecurityMail.id == row.id, SecurityMail.tries == row.tries)
    with database.begin() as connection:
        return connection.execute(mine.values(due_at=later, tries=row.tries + 1)).rowcount == 1


def _put_off(database: WriteDatabase, row: Row[Any]) -> None:
    pause = mail.pause_after(row.tries, FIRST_PAUSE)
    mine = update(SecurityMail).where(SecurityMail.id == row.id, SecurityMail.tries == row.tries + 1)
    with database.begin() as connection:
        connection.execute(mine.values(due_at=clock.now() + pause))


def _send(database: WriteDatabase, server: MailServer, row: Row[Any], email: Email) -> bool:
    try:
        mail.send(server, email)
    except MailError as error:
        log.warning("mail_failed", extra={"email_id": row.id, "tries": row.tries + 1, "reason": str(error)})
        _put_off(database, row)
        return False
    with database.begin() as connection:
        connection.execute(delete(SecurityMail).where(SecurityMail.id == row.id))
    log.info("mail_sent", extra={"email_id": row.id})
    return True


def _compose(row: Row[Any], base_url: str, takes_passwords: bool) -> Email:
    text = security_mail_texts.text(
        row.action,
        email=row.email,
        actor=row.actor,
        address=row.address,
        details=json.loads(row.details),
        created_at=row.created_at,
        base_url=base_url,
        takes_passwords=takes_passwords,
    )
    return Email(row.id, [row.email], security_mail_texts.subject(row.action), text, row.created_at)
