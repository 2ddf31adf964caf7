"""Notices by mail, handed to a real SMTP server on loopback."""

import logging
import socket
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask, url_for
from sqlalchemy import select, update

from tests.conftest import PASSWORD, TESTER, Workspace
from tests.mail_servers import Mailbox, Start, queued_jobs, tls
from tests.waiting import has_thread, wait_for
from webhooks_app import tasks
from webhooks_app.accounts import members, users
from webhooks_app.config import Settings
from webhooks_app.core import clock, passwords
from webhooks_app.core.mail import MailServer
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Endpoint, EndpointHealth, EndpointState, Notice, NoticeKind, Role, User
from webhooks_app.db.models import Workspace as WorkspaceRow
from webhooks_app.endpoints import notices
from webhooks_app.extensions import db, services

BASE_URL = "https://hooks.example.com"
HOUR = timedelta(hours=1)


@pytest.fixture
def failing(workspace: Workspace, database: WriteDatabase) -> str:
    """An endpoint about which a warning was given."""
    return warned(workspace, database, clock.now())


def warned(workspace: Workspace, database: WriteDatabase, now: datetime, name: str = "Orders") -> str:
    endpoint_id = workspace.endpoint("https://orders.example.com/hooks?token=t0ken", name=name)
    since = now - timedelta(days=3)
    with database.begin() as connection:
        connection.execute(
            update(EndpointHealth)
            .where(EndpointHealth.endpoint_id == endpoint_id)
            .values(
                failing_since=since, last_failure_at=now, last_failure_outcome="timeout", failure_count=50
            )
        )
        assert notices.add(
            connection,
            endpoint_id,
            NoticeKind.WARNING,
            streak_at=since,
            disable_at=since + timedelta(days=5),
            now=now,
        )
    return endpoint_id


def send_due(databases: Databases, server: MailServer, now: datetime | None = None) -> int:
    return notices.send_due(databases, server, base_url=BASE_URL, now=now or clock.now())


def test_every_admin_gets_one_plain_mail_with_one_link(
    app: Flask,
    workspace: Workspace,
    database: WriteDatabase,
    databases: Databases,
    start_smtp: Start,
    mailbox: Mailbox,
    failing: str,
) -> None:
    for email, role in (("second@example.com", Role.ADMIN), ("viewer@example.com", Role.VIEWER)):
        user_id = users.add(database, email=email, name="X", password=PASSWORD)
        members.add(database, workspace.id, user_id, role, actor=TESTER)
    server = start_smtp()

    assert send_due(databases, server) == 1
    assert send_due(databases, server) == 0

    [envelope] = mailbox.envelopes
    assert envelope.rcpt_tos == ["acme@example.com", "second@example.com"]
    [message] = mailbox.messages
    assert message["Subject"] == "Webhook endpoint keeps failing – Orders (Acme)"
    assert message["From"] == "Avra webhooks <webhooks@example.com>"
    assert message["Message-ID"].startswith("<ntc_")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    text = message.get_content()
    with app.test_request_context(base_url=BASE_URL):
        link = url_for("endpoints.show", workspace_id=workspace.id, endpoint_id=failing, _external=True)
    assert [word for word in text.split() if "://" in word] == [link]
    assert "t0ken" not in text
    for part in ("Every attempt since", "Timed out", "disables the endpoint", "one success"):
        assert part in text


@pytest.mark.parametrize("kind", [NoticeKind.DISABLED, NoticeKind.GONE])
def test_what_was_disabled_is_told_by_mail(
    workspace: Workspace,
    database: WriteDatabase,
    databases: Databases,
    start_smtp: Start,
    mailbox: Mailbox,
    failing: str,
    kind: NoticeKind,
) -> None:
    now = clock.now()
    with database.begin() as connection:
        connection.execute(update(Endpoint).values(state=EndpointState.DISABLED, disabled_at=now))
        notices.add(connection, failing, kind, streak_at=now, now=now)

    assert send_due(databases, start_smtp()) == 1
    [message] = mailbox.messages
    assert "disabled" in message["Subject"]
    assert "Nothing is lost" in message.get_content()
    assert ("410 Gone" in message.get_content()) == (kind is NoticeKind.GONE)


def test_what_is_no_longer_true_is_not_sent(
    database: WriteDatabase, databases: Databases, start_smtp: Start, mailbox: Mailbox, failing: str
) -> None:
    with database.begin() as connection:
        connection.execute(update(EndpointHealth).values(failing_since=None))

    assert send_due(databases, start_smtp()) == 0
    assert mailbox.envelopes == []
    assert not notices.has_due_mail(databases.read, now=clock.now() + HOUR)


def test_a_server_that_is_down_is_tried_again_until_a_day_has_passed(
    database: WriteDatabase,
    databases: Databases,
    start_smtp: Start,
    mailbox: Mailbox,
    failing: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "webhooks_app")
    server, now = start_smtp(), clock.now()
    down = replace(server, port=9)

    assert send_due(databases, down, now) == 0
    assert "mail_failed" in caplog.text
    assert not notices.has_due_mail(databases.read, now=now + timedelta(minutes=1))
    assert notices.has_due_mail(databases.read, now=now + timedelta(minutes=2))
    assert send_due(databases, down, now + timedelta(minutes=3)) == 0
    assert not notices.has_due_mail(databases.read, now=now + timedelta(minutes=6))
    assert send_due(databases, server, now + timedelta(minutes=8)) == 1
    assert len(mailbox.envelopes) == 1


def test_old_news_is_not_sent(databases: Databases, start_smtp: Start, failing: str) -> None:
    assert send_due(databases, start_smtp(), clock.now() + timedelta(hours=25)) == 0


def test_two_senders_send_one_mail(
    databases: Databases, start_smtp: Start, mailbox: Mailbox, failing: str
) -> None:
    server = start_smtp()
    threads = [threading.Thread(target=send_due, args=(databases, server)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(mailbox.envelopes) == 1


def test_an_unknown_mailbox_keeps_nothing_from_the_others(
    workspace: Workspace,
    database: WriteDatabase,
    databases: Databases,
    start_smtp: Start,
    mailbox: Mailbox,
    failing: str,
) -> None:
    user_id = users.add(database, email="second@example.com", name="X", password=PASSWORD)
    members.add(database, workspace.id, user_id, Role.ADMIN, actor=TESTER)
    mailbox.refused = {"acme@example.com"}

    assert send_due(databases, start_smtp()) == 1
    assert mailbox.envelopes[0].rcpt_tos == ["second@example.com"]


def test_no_name_or_address_can_add_a_header_or_a_recipient(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start_smtp: Start, mailbox: Mailbox
) -> None:
    evil = "x\r\nBcc: evil@example.net\r\n\r\nBody\u2028\u202e"
    warned(workspace, database, clock.now(), name=evil[:90])
    for email in ("a@example.com\r\nBcc: b@example.net", "c@example.com, d@example.net", "<e@f.g>", "@"):
        with database.begin() as connection:  # as an older version may have stored it
            hashed = passwords.hash_password(PASSWORD)
            user_id = users.add_in_transaction(connection, email=email, name="X", password_hash=hashed)
        members.add(database, workspace.id, user_id, Role.ADMIN, actor=TESTER)

    assert send_due(databases, start_smtp()) == 1
    [envelope] = mailbox.envelopes
    assert envelope.rcpt_tos == ["acme@example.com"]
    [message] = mailbox.messages
    assert message["Bcc"] is None
    assert message["Subject"] == "Webhook endpoint keeps failing – x Bcc: evil@example.net Body (Acme)"


@pytest.mark.parametrize(("user", "password"), [("me", "pässword"), ("mé", "s3cret")])
def test_log_in_data_that_cannot_be_sent_is_said_and_tried_again(
    database: WriteDatabase,
    databases: Databases,
    start_smtp: Start,
    mailbox: Mailbox,
    smtp_certificate: Path,
    failing: str,
    caplog: pytest.LogCaptureFixture,
    user: str,
    password: str,
) -> None:
    caplog.set_level(logging.WARNING, "webhooks_app")
    server = start_smtp(authenticator=mailbox.log_in, tls_context=tls(smtp_certificate))
    server = replace(server, user=user, password=password, ca_bundle=str(smtp_certificate))

    assert send_due(databases, server) == 0

    [record] = [record for record in caplog.records if record.message == "mail_failed"]
    assert "the user or password is not all ASCII" in vars(record)["reason"]
    assert password not in caplog.text
    assert notices.has_due_mail(databases.read, now=clock.now() + timedelta(minutes=3))
    assert mailbox.log_ins == []


def test_the_sweep_has_due_mails_sent_in_a_job_of_their_own(
    job_app: Flask, settings: Settings, start_smtp: Start, mailbox: Mailbox, failing: str
) -> None:
    tasks.sweep()
    assert not any(b"send_mail" in job for job in queued_jobs(settings))

    services(job_app).settings = replace(settings, mail_server=start_smtp())
    tasks.sweep()
    assert any(b"send_mail" in job for job in queued_jobs(settings))
    assert mailbox.envelopes == []

    tasks.send_mail()
    wait_for(lambda: mailbox.envelopes)
    wait_for(lambda: not has_thread("job:mail"))
    db.session.rollback()
    assert db.session.scalars(select(Notice.mailed_at)).one() is not None


def test_the_job_does_not_wait_for_a_server_that_hangs(
    job_app: Flask, settings: Settings, failing: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = MailServer("127.0.0.1", silent.getsockname()[1], "a@example.com", timeout_seconds=60.0)
        services(job_app).settings = replace(settings, mail_server=server)
        began = clock.now()
        tasks.send_mail()
        tasks.send_mail()
        assert clock.now() - began < timedelta(seconds=30)
        assert sum(thread.name == "job:mail" for thread in threading.enumerate()) == 1
    wait_for(lambda: not has_thread("job:mail"))


def test_a_workspaces_own_addresses_get_it_instead_of_the_admins(
    database: WriteDatabase, databases: Databases, start_smtp: Start, mailbox: Mailbox, failing: str
) -> None:
    with database.begin() as connection:
        connection.execute(
            update(WorkspaceRow).values(notice_addresses=["ops@acme.example", "b@acme.example"])
        )

    send_due(databases, start_smtp())
    [envelope] = mailbox.envelopes
    assert envelope.rcpt_tos == ["ops@acme.example", "b@acme.example"]


def test_a_workspace_whose_admins_have_no_mailbox_gets_no_mail(
    database: WriteDatabase, databases: Databases, start_smtp: Start, mailbox: Mailbox, failing: str
) -> None:
    with database.begin() as connection:
        connection.execute(update(User).values(email="nobody"))

    send_due(databases, start_smtp())
    assert mailbox.envelopes == []
