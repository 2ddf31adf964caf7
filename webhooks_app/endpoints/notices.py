"""Notices about an endpoint: which one holds now, and the e-mail about each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, or_, select, update
from sqlalchemy.orm import Session

from webhooks_app.core import ids, mail
from webhooks_app.core.mail import Email, MailError, MailServer
from webhooks_app.db import upsert
from webhooks_app.db.engines import Databases, ReadDatabase, WriteDatabase
from webhooks_app.db.models import (
    Endpoint,
    EndpointHealth,
    EndpointState,
    Member,
    Notice,
    NoticeKind,
    Role,
    User,
    Workspace,
)
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints import health, notice_texts

log = logging.getLogger(__name__)

WARNINGS = (NoticeKind.WARNING, NoticeKind.FINAL_WARNING)
# After a day a notice is no news, and the console shows it anyway.
MAIL_LIFE = timedelta(days=1)
# Doubled with each try: 2, 4, 8 … minutes, at most an hour.
FIRST_PAUSE = timedelta(minutes=2)
EMAILS_PER_RUN = 50


@dataclass(slots=True, frozen=True)
class EndpointNotice:
    """A notice as the endpoint's page shows it; `disable_at` is when it may be disabled, unset once it is."""

    kind: NoticeKind
    title: str
    reason: str
    advice: str
    disable_at: datetime | None


def add(
    connection: WriteConnection,
    endpoint_id: str,
    kind: NoticeKind,
    *,
    streak_at: datetime,
    now: datetime,
    disable_at: datetime | None = None,
) -> bool:
    """Add a notice within the caller's transaction; False if there is one of this kind and streak."""
    row = {
        "id": ids.new("ntc"),
        "endpoint_id": endpoint_id,
        "kind": kind,
        "streak_at": streak_at,
        "disable_at": disable_at,
        "created_at": now,
        "mail_due_at": now,
        "mail_tries": 0,
    }
    return upsert.insert_if_new(connection, Notice, row)


def for_endpoint(session: Session, endpoint: Endpoint) -> EndpointNotice | None:
    """Return the notice that holds now; None for a healthy endpoint and for one that a person disabled."""
    notice = session.scalars(
        select(Notice)
        .where(Notice.endpoint_id == endpoint.id)
        .where(
            or_(
                Notice.streak_at == endpoint.health.failing_since,
                Notice.created_at == endpoint.disabled_at,
            )
        )
        .order_by(Notice.created_at.desc(), Notice.id.desc())
        .limit(1)
    ).first()
    if notice is None or not _is_current(notice, endpoint, endpoint.health):
        return None
    last = health.last_failure(endpoint.health)
    return EndpointNotice(
        notice.kind,
        notice_texts.title(notice),
        notice_texts.reason(notice, last),
        notice_texts.advice(notice, last),
        notice.disable_at,
    )


def has_due_mail(database: ReadDatabase, *, now: datetime) -> bool:
    with database.connect() as connection:
        return connection.execute(_due(now).limit(1)).first() is not None


def send_due(databases: Databases, server: MailServer, *, base_url: str, now: datetime) -> int:
    """Send the notices that are due by e-mail; return how many went out. What fails is due again later."""
    with databases.read.connect() as connection:
        due = connection.execute(_due(now).limit(EMAILS_PER_RUN)).all()
    return sum(_send_one(databases, server, row, base_url=base_url, now=now) for row in due)


def _due(now: datetime) -> Any:
    return (
        select(Notice.id, Notice.mail_tries)
        .where(Notice.created_at > now - MAIL_LIFE, Notice.mail_due_at <= now)
        .order_by(Notice.created_at)
    )


def _send_one(
    databases: Databases, server: MailServer, due: Row[Any], *, base_url: str, now: datetime
) -> bool:
    if not _claim_until_next_try(databases.write, due, now):
        return False
    email = _compose_email(databases.read, due.id, base_url)
    if email is None or not email.to:
        _finish_mail(databases.write, due.id, mailed_at=None)
        return False
    try:
        mail.send(server, email)
    except MailError as error:
        log.warning(
            "mail_failed", extra={"notice_id": due.id, "tries": due.mail_tries + 1, "reason": str(error)}
        )
        return False
    _finish_mail(databases.write, due.id, mailed_at=now)
    log.info("mail_sent", extra={"notice_id": due.id})
    return True


def _claim_until_next_try(database: WriteDatabase, due: Row[Any], now: datetime) -> bool:
    """Make it due again later, in case this process dies or the server refuses; False if another did."""
    pause = mail.pause_after(due.mail_tries, FIRST_PAUSE)
    with database.begin() as connection:
        return (
            connection.execute(
                update(Notice)
                .where(Notice.id == due.id, Notice.mail_tries == due.mail_tries)
                .where(Notice.mail_due_at.is_not(None))
                .values(mail_due_at=now + pause, mail_tries=due.mail_tries + 1)
            ).rowcount
            == 1
        )


def _finish_mail(database: WriteDatabase, notice_id: str, *, mailed_at: datetime | None) -> None:
    with database.begin() as connection:
        connection.execute(
            update(Notice).where(Notice.id == notice_id).values(mail_due_at=None, mailed_at=mailed_at)
        )


def _compose_email(database: ReadDatabase, notice_id: str, base_url: str) -> Email | None:
    """Return the e-mail to the workspace's addresses, or else its admins; None once it no longer holds."""
    with database.session() as session:
        notice, endpoint, workspace = session.execute(
            select(Notice, Endpoint, Workspace)
            .join(Endpoint, Endpoint.id == Notice.endpoint_id)
            .join(Workspace, Workspace.id == Endpoint.workspace_id)
            .where(Notice.id == notice_id)
        ).one()
        if not _is_current(notice, endpoint, endpoint.health):
            return None
        to = workspace.notice_addresses or _admins(session, workspace.id)
        text = notice_texts.email_text(notice, endpoint, workspace.name, base_url)
        subject = f"{notice_texts.title(notice)} – {endpoint.name} ({workspace.name})"
        return Email(notice.id, to, subject, text, notice.created_at)


def _admins(session: Session, workspace_id: str) -> Sequence[str]:
    return session.scalars(
        select(User.email)
        .join(Member, Member.user_id == User.id)
        .where(Member.workspace_id == workspace_id, Member.role == Role.ADMIN)
        .order_by(User.email)
    ).all()


def _is_current(notice: Notice, endpoint: Endpoint, health: EndpointHealth) -> bool:
    if endpoint.deleted_at is not None:
        return False
    if notice.kind in WARNINGS:
        return endpoint.state is EndpointState.ENABLED and notice.streak_at == health.failing_since
    return endpoint.state is EndpointState.DISABLED and notice.created_at == endpoint.disabled_at
