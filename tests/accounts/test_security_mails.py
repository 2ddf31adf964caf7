"""People are told by e-mail of changes of their accounts: a real SMTP server takes it, or none does."""

import socket
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.conftest import PASSWORD, TESTER
from tests.mail_servers import Mailbox, Start, queued_jobs
from tests.waiting import has_thread, wait_for
from webhooks_app import tasks
from webhooks_app.accounts import (
    api_tokens,
    audit,
    security_mail_runs,
    security_mails,
    users,
    workspaces,
)
from webhooks_app.accounts.audit import Actor
from webhooks_app.config import Settings
from webhooks_app.core import clock
from webhooks_app.core.mail import MailServer
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import SecurityMail, User
from webhooks_app.extensions import db, services

EMAIL = "somebody@example.com"
BASE_URL = "https://hooks.example.com"
SELF = Actor(EMAIL, "203.0.113.5")


@pytest.fixture
def server(start_smtp: Start) -> MailServer:
    return start_smtp()


@pytest.fixture
def user(database: WriteDatabase) -> User:
    user_id = users.add(database, email=EMAIL, name="Somebody", password=PASSWORD)
    return db.session.get_one(User, user_id)


def send(
    databases: Databases, server: MailServer, *, takes_passwords: bool = True, at: datetime | None = None
) -> int:
    now = at or clock.now()
    return security_mail_runs.send_due(
        databases, server, base_url=BASE_URL, takes_passwords=takes_passwords, now=now
    )


def noted(action: str, database: WriteDatabase, user: User, *, actor: Actor = SELF, **details: str) -> None:
    with database.begin() as connection:
        audit.record_for_person(connection, actor, action, user.id, **details)


def texts(mailbox: Mailbox) -> list[str]:
    return [str(message.get_content()).replace("\r\n", "\n") for message in mailbox.messages]


def tries() -> list[int]:
    db.session.rollback()
    return list(db.session.scalars(select(SecurityMail.tries)))


def test_a_new_password_is_told_with_when_from_where_and_what_to_do(
    database: WriteDatabase, databases: Databases, user: User, server: MailServer, mailbox: Mailbox
) -> None:
    days = [f"{clock.now():%Y-%m-%d}"]
    users.change_password(database, user, "another good password", actor=SELF)
    days.append(f"{clock.now():%Y-%m-%d}")

    assert send(databases, server) == 1
    [message] = mailbox.messages
    assert (message["To"], message["Subject"]) == (EMAIL, "Your password was changed")
    [text] = texts(mailbox)
    assert f"Your password was changed: {EMAIL} at {BASE_URL}." in text
    assert any(f"When:  {day}" in text for day in days)
    assert "From:  203.0.113.5\n" in text
    assert "If it was not you" in text
    assert f"{BASE_URL}/password-reset/ , which ends every session" in text
    assert "another good password" not in text
    assert send(databases, server) == 0
    assert (len(mailbox.messages), tries()) == (1, [])


def test_every_action_that_is_told_is_one_of_the_audit_log() -> None:
    assert set(audit.ACTIONS) >= security_mails.MAILED_ACTIONS


def test_what_is_no_change_is_not_told(database: WriteDatabase, user: User) -> None:
    for action in ("session.log_in", "session.log_out", "profile.change", "passkey.rename"):
        noted(action, database, user)
    assert tries() == []


def test_what_others_did_is_told_with_who_it_was(
    database: WriteDatabase, databases: Databases, user: User, server: MailServer, mailbox: Mailbox
) -> None:
    noted("second_factor.reset", database, user, actor=Actor("shell"))
    noted("passkey.add", database, user, name="Phone\r\nBcc: evil")
    assert send(databases, server) == 2
    by_operator, own = sorted(texts(mailbox), key=lambda sent: "By:" not in sent)
    assert "From:  the platform's own host\nBy:    an operator of the platform\n" in by_operator
    assert "By:" not in own
    assert "Name:  Phone Bcc: evil\n" in own


def test_somebody_who_is_removed_is_told_so(
    database: WriteDatabase, databases: Databases, user: User, server: MailServer, mailbox: Mailbox
) -> None:
    users.remove(database, user, actor=TESTER)
    assert send(databases, server) == 1
    [message] = mailbox.messages
    assert (message["To"], message["Subject"]) == (EMAIL, "Your account was removed")
    assert f"By:    {TESTER.name}\n" in texts(mailbox)[0]


def test_whoever_makes_a_token_is_told_and_a_command_of_the_shell_tells_nobody(
    database: WriteDatabase, databases: Databases, user: User, server: MailServer, mailbox: Mailbox
) -> None:
    workspace_id = workspaces.create(database, "Acme", actor=SELF)
    api_tokens.create(database, workspace_id, "Billing", actor=Actor("shell"))
    token = api_tokens.create(database, workspace_id, "Billing", actor=SELF)

    assert send(databases, server) == 1
    [message] = mailbox.messages
    [text] = texts(mailbox)
    assert message["Subject"] == "An API token was created in your name"
    assert "Name:  Billing\nWorkspace: Acme\nMay:   events:send events:read\n" in text
    assert "revoke the token first" in text
    assert token not in text


def test_without_passwords_it_says_whom_to_ask(
    database: WriteDatabase, databases: Databases, user: User, server: MailServer, mailbox: Mailbox
) -> None:
    noted("session.end_all", database, user)
    assert send(databases, server, takes_passwords=False) == 1
    [text] = texts(mailbox)
    assert "password-reset" not in text
    assert "Tell whoever runs this platform" in text


def test_a_server_that_is_away_fails_no_change_and_gets_it_later(
    database: WriteDatabase, databases: Databases, user: User, server: MailServer, mailbox: Mailbox
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = MailServer("127.0.0.1", nobody.getsockname()[1], "hooks@example.com")
        noted("second_factor.off", database, user)
        assert send(databases, away) == 0
    assert tries() == [1]
    assert send(databases, server) == 0  # not due yet
    assert send(databases, server, at=clock.now() + timedelta(minutes=2)) == 1
    assert [message["Subject"] for message in mailbox.messages] == [
        "Two-factor authentication was turned off"
    ]


def test_what_is_being_sent_is_not_due_to_another_run(
    database: WriteDatabase, databases: Databases, user: User, server: MailServer, mailbox: Mailbox
) -> None:
    noted("second_factor.off", database, user)
    begun_at = clock.now() - timedelta(minutes=10)  # as one that others of its run kept waiting
    with database.begin() as connection:
        connection.execute(update(SecurityMail).values(due_at=begun_at, created_at=begun_at))
    are_due: list[bool] = []

    def look() -> None:
        are_due.append(security_mail_runs.has_due(databases.read, now=clock.now() + timedelta(minutes=2)))

    mailbox.when_taking = look
    assert send(databases, server, at=begun_at) == 1
    assert are_due == [False]


def test_somebody_with_many_keeps_nobody_waiting(
    database: WriteDatabase, databases: Databases, user: User, server: MailServer, mailbox: Mailbox
) -> None:
    other = db.session.get_one(
        User, users.add(database, email="other@example.com", name="Other", password=PASSWORD)
    )
    for _ in range(60):
        noted("token.create", database, user, name="Billing", workspace="Acme", scopes="events:read")
    noted("passkey.add", database, other, name="Phone")

    send(databases, server)
    assert [message["To"] for message in mailbox.messages][:2] == [EMAIL, "other@example.com"]
    assert len(mailbox.messages) == 1 + security_mail_runs.EMAILS_PER_ADDRESS


def test_what_was_never_sent_is_no_news_after_two_days(
    database: WriteDatabase, databases: Databases, user: User, server: MailServer, mailbox: Mailbox
) -> None:
    noted("second_factor.off", database, user)
    later = clock.now() + timedelta(days=2, minutes=1)
    assert not security_mail_runs.has_due(databases.read, now=later)
    assert send(databases, server, at=later) == 0
    security_mail_runs.delete_old(database, now=clock.now())
    assert tries() == [0]
    security_mail_runs.delete_old(database, now=later)
    assert tries() == []


def test_a_change_that_fails_is_not_told(database: WriteDatabase, user: User) -> None:
    def fail() -> None:
        with database.begin() as connection:
            audit.record_for_person(connection, SELF, "profile.password", user.id)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert tries() == []


def test_the_sweep_has_it_sent_in_a_job(
    job_app: Flask, settings: Settings, server: MailServer, mailbox: Mailbox, user: User
) -> None:
    services(job_app).settings = replace(settings, mail_server=server)
    tasks.sweep()
    assert not any(b"send_mail" in job for job in queued_jobs(settings))
    users.end_sessions(services(job_app).write, user, actor=SELF)
    tasks.sweep()
    assert any(b"send_mail" in job for job in queued_jobs(settings))

    tasks.send_mail()
    wait_for(lambda: mailbox.messages)
    assert mailbox.messages[0]["Subject"] == "All your sessions were ended"
    wait_for(lambda: not has_thread("job:mail"))
