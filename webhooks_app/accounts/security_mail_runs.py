"""Sending the e-mails about changes of accounts; what the server does not take is tried for two days."""

import json
import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, delete, select, update

from webhooks_app.accounts import security_mail_texts
from webhooks_app.core import mail
from webhooks_app.core.mail import Email, MailError, MailServer
from webhooks_app.db.engines import Databases, ReadDatabase, WriteDatabase
from webhooks_app.db.models import SecurityMail

log = logging.getLogger(__name__)

# Whether somebody else is in one's account is still worth knowing then.
LIFE = timedelta(days=2)
# Doubled with each try: 1, 2, 4 … minutes, at most an hour.
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
EMAILS_PER_RUN = 50


def has_due(database: ReadDatabase, *, now: datetime) -> bool:
    with database.connect() as connection:
        return connection.execute(_due(now).limit(1)).first() is not None


def send_due(
    databases: Databases, server: MailServer, *, base_url: str, takes_passwords: bool, now: datetime
) -> int:
    """Send what is due; return how many went out. What fails is due again later."""
    with databases.read.connect() as connection:
        due = connection.execute(_due(now).limit(EMAILS_PER_RUN)).all()
    count = 0
    for row in due:
        if _claim(databases.write, row, now):
            count += _send(databases.write, server, row, _compose(row, base_url, takes_passwords))
    return count


def delete_old(database: WriteDatabase, *, now: datetime) -> None:
    """Delete what was never sent and is no news any more, as where there is no mail server."""
    with database.begin() as connection:
        connection.execute(delete(SecurityMail).where(SecurityMail.created_at <= now - LIFE))


def _due(now: datetime) -> Select[*tuple[Any, ...]]:
    is_due = SecurityMail.due_at <= now, SecurityMail.created_at > now - LIFE
    return select(*SecurityMail.__table__.columns).where(*is_due).order_by(SecurityMail.id)


def _claim(database: WriteDatabase, row: Row[Any], now: datetime) -> bool:
    """Make it due again later, in case this process dies or the server refuses; False if another did."""
    pause = min(FIRST_PAUSE * 2 ** min(row.tries, 10), LONGEST_PAUSE)
    mine = update(SecurityMail).where(SecurityMail.id == row.id, SecurityMail.tries == row.tries)
    with database.begin() as connection:
        return connection.execute(mine.values(due_at=now + pause, tries=row.tries + 1)).rowcount == 1


def _send(database: WriteDatabase, server: MailServer, row: Row[Any], email: Email) -> bool:
    try:
        mail.send(server, email)
    except MailError as error:
        log.warning("mail_failed", extra={"email": row.id, "tries": row.tries + 1, "reason": str(error)})
        return False
    with database.begin() as connection:
        connection.execute(delete(SecurityMail).where(SecurityMail.id == row.id))
    log.info("mail_sent", extra={"email": row.id})
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
