"""Announcements by e-mail, handed to a real SMTP server on loopback."""

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask, url_for
from redis import Redis
from sqlalchemy import select, update

from tests.conftest import PASSWORD, TESTER, Workspace, has_thread, wait_for
from tests.free_ports import free_port
from webhooks_app import tasks
from webhooks_app.accounts import members, users
from webhooks_app.config import Settings
from webhooks_app.core import clock, mail, passwords
from webhooks_app.core.mail import Email, MailError, MailServer
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Endpoint, EndpointHealth, EndpointState, Notice, NoticeKind, Role, User
from webhooks_app.db.models import Workspace as WorkspaceRow
from webhooks_app.endpoints import notices
from webhooks_app.extensions import db, services

BASE_URL = "https://hooks.example.com"
HOUR = timedelta(hours=1)
LETTER = Email("ntc_1", ("a@example.com",), "Hello", "Text\n", datetime(2030, 1, 1, tzinfo=UTC))


class Mailbox:
    """What the SMTP server took; `refused` are recipients that it does not know.

    `when_taking` is called while the client waits for the answer.
    """

    def __init__(self) -> None:
        self.when_taking: Callable[[], None] = lambda: None
        self.envelopes: list[Envelope] = []
        self.refused: set[str] = set()
        self.was_tls: list[bool] = []
        self.log_ins: list[tuple[bytes, bytes]] = []

    async def handle_RCPT(
        self, server: object, session: object, envelope: Envelope, address: str, options: object
    ) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: object, envelope: Envelope) -> str:
        assert server.transport is not None
        self.was_tls.append(server.transport.get_extra_info("ssl_object") is not None)
        self.envelopes.append(envelope)
        self.when_taking()
        return "250 OK"

    def log_in(self, *args: object) -> AuthResult:
        data = args[-1]
        assert isinstance(data, LoginPassword)
        self.log_ins.append((data.login, data.password))
        return AuthResult(success=data.password == b"s3cret", handled=False)

    @property
    def messages(self) -> list[EmailMessage]:
        return [_message(envelope) for envelope in self.envelopes]


def _message(envelope: Envelope) -> EmailMessage:
    assert isinstance(envelope.content, bytes)
    return message_from_bytes(envelope.content, policy=default)


Start = Callable[..., MailServer]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def start(mailbox: Mailbox) -> Iterator[Start]:
    """Starts an SMTP server with the options given; where to hand letters in."""
    running: list[Controller] = []

    def run(*, is_smtps: bool = False, **options: Any) -> MailServer:
        port = free_port()
        context = options.pop("ssl_context", None)
        controller = Controller(
            mailbox, hostname="127.0.0.1", port=port, ssl_context=context if is_smtps else None, **options
        )
        controller.start()
        running.append(controller)
        return MailServer("127.0.0.1", port, "webhooks@example.com", is_smtps=is_smtps)

    yield run
    for controller in running:
        controller.stop()


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


def test_every_admin_gets_one_plain_letter_with_one_link(
    app: Flask,
    workspace: Workspace,
    database: WriteDatabase,
    databases: Databases,
    start: Start,
    mailbox: Mailbox,
    failing: str,
) -> None:
    for email, role in (("second@example.com", Role.ADMIN), ("viewer@example.com", Role.VIEWER)):
        user_id = users.add(database, email=email, name="X", password=PASSWORD)
        members.add(database, workspace.id, user_id, role, actor=TESTER)
    server = start()

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
    start: Start,
    mailbox: Mailbox,
    failing: str,
    kind: NoticeKind,
) -> None:
    now = clock.now()
    with database.begin() as connection:
        connection.execute(update(Endpoint).values(state=EndpointState.DISABLED, disabled_at=now))
        notices.add(connection, failing, kind, streak_at=now, now=now)

    assert send_due(databases, start()) == 1
    [message] = mailbox.messages
    assert "disabled" in message["Subject"]
    assert "Nothing is lost" in message.get_content()
    assert ("410 Gone" in message.get_content()) == (kind is NoticeKind.GONE)


def test_what_is_no_longer_true_is_not_sent(
    database: WriteDatabase, databases: Databases, start: Start, mailbox: Mailbox, failing: str
) -> None:
    with database.begin() as connection:
        connection.execute(update(EndpointHealth).values(failing_since=None))

    assert send_due(databases, start()) == 0
    assert mailbox.envelopes == []
    assert not notices.has_due_mail(databases.read, now=clock.now() + HOUR)


def test_a_server_that_is_down_is_tried_again_until_a_day_has_passed(
    database: WriteDatabase,
    databases: Databases,
    start: Start,
    mailbox: Mailbox,
    failing: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "webhooks_app")
    server, now = start(), clock.now()
    down = replace(server, port=9)

    assert send_due(databases, down, now) == 0
    assert "mail_failed" in caplog.text
    assert not notices.has_due_mail(databases.read, now=now + timedelta(minutes=1))
    assert notices.has_due_mail(databases.read, now=now + timedelta(minutes=2))
    assert send_due(databases, down, now + timedelta(minutes=3)) == 0
    assert not notices.has_due_mail(databases.read, now=now + timedelta(minutes=6))
    assert send_due(databases, server, now + timedelta(minutes=8)) == 1
    assert len(mailbox.envelopes) == 1


def test_old_news_is_not_sent(databases: Databases, start: Start, failing: str) -> None:
    assert send_due(databases, start(), clock.now() + timedelta(hours=25)) == 0


def test_two_senders_send_one_letter(
    databases: Databases, start: Start, mailbox: Mailbox, failing: str
) -> None:
    server = start()
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
    start: Start,
    mailbox: Mailbox,
    failing: str,
) -> None:
    user_id = users.add(database, email="second@example.com", name="X", password=PASSWORD)
    members.add(database, workspace.id, user_id, Role.ADMIN, actor=TESTER)
    mailbox.refused = {"acme@example.com"}

    assert send_due(databases, start()) == 1
    assert mailbox.envelopes[0].rcpt_tos == ["second@example.com"]


def test_no_name_or_address_can_add_a_header_or_a_recipient(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: Start, mailbox: Mailbox
) -> None:
    evil = "x\r\nBcc: evil@example.net\r\n\r\nBody\u2028\u202e"
    warned(workspace, database, clock.now(), name=evil[:90])
    for email in ("a@example.com\r\nBcc: b@example.net", "c@example.com, d@example.net", "<e@f.g>", "@"):
        with database.begin() as connection:  # as an older version may have stored it
            hashed = passwords.hash_password(PASSWORD)
            user_id = users.add_in(connection, email=email, name="X", password_hash=hashed)
        members.add(database, workspace.id, user_id, Role.ADMIN, actor=TESTER)

    assert send_due(databases, start()) == 1
    [envelope] = mailbox.envelopes
    assert envelope.rcpt_tos == ["acme@example.com"]
    [message] = mailbox.messages
    assert message["Bcc"] is None
    assert message["Subject"] == "Webhook endpoint keeps failing – x Bcc: evil@example.net Body (Acme)"


@pytest.mark.parametrize(
    "text",
    [
        "a@example.com\r\nBcc: b@example.net",
        "a@example.com, b@example.net",
        "A <a@example.com>",
        "a b@example.com",
        "a@",
        "@example.com",
        "example.com",
        "a@exa mple.com",
        "a@b..c",
        "a(comment)@example.com",
        "",
    ],
)
def test_what_is_not_one_mailbox_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an e-mail address"):
        mail.parse_address(text)


def test_an_international_domain_is_written_in_ascii() -> None:
    assert mail.parse_address("anna@bücher.example").addr_spec == "anna@xn--bcher-kva.example"


def test_a_domain_is_not_turned_into_another() -> None:
    assert mail.parse_address("anna@straße.de").addr_spec == "anna@xn--strae-oqa.de"
    assert mail.parse_server_url("smtp://straße.de", "a@example.com").host == "xn--strae-oqa.de"


def test_unusable_addresses_are_left_out(start: Start, mailbox: Mailbox) -> None:
    mail.send(start(), replace(LETTER, to=("x\r\nRCPT TO:<evil@example.net>", "a@example.com", "b@c@d,e")))

    assert mailbox.envelopes[0].rcpt_tos == ["a@example.com"]


def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(MailError, match="timed out"):
        mail.send(MailServer("127.0.0.1", silent.getsockname()[1], "a@example.com"), LETTER)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("is_smtps", [False, True])
def test_tls_is_used_and_verified(start: Start, mailbox: Mailbox, certificate: Path, is_smtps: bool) -> None:
    context = tls(certificate)
    options = {"ssl_context": context} if is_smtps else {"tls_context": context}
    server = start(is_smtps=is_smtps, **options)

    with pytest.raises(MailError, match="CERTIFICATE_VERIFY_FAILED"):
        mail.send(server, LETTER)
    mail.send(replace(server, ca_bundle=str(certificate)), LETTER)

    assert mailbox.was_tls == [True]


def test_it_logs_in_where_the_address_names_a_user(start: Start, mailbox: Mailbox, certificate: Path) -> None:
    server = start(authenticator=mailbox.log_in, tls_context=tls(certificate))
    server = replace(server, user="me", password="s3cret", ca_bundle=str(certificate))

    mail.send(server, LETTER)
    with pytest.raises(MailError, match=r"^SMTPAuthenticationError 535$"):
        mail.send(replace(server, password="wr0ng"), LETTER)

    assert mailbox.log_ins[0] == (b"me", b"s3cret")
    assert "s3cret" not in repr(server)


@pytest.mark.parametrize(("user", "password"), [("me", "pässword"), ("mé", "s3cret")])
def test_log_in_data_that_cannot_be_sent_is_said_and_tried_again(
    database: WriteDatabase,
    databases: Databases,
    start: Start,
    mailbox: Mailbox,
    certificate: Path,
    failing: str,
    caplog: pytest.LogCaptureFixture,
    user: str,
    password: str,
) -> None:
    caplog.set_level(logging.WARNING, "webhooks_app")
    server = start(authenticator=mailbox.log_in, tls_context=tls(certificate))
    server = replace(server, user=user, password=password, ca_bundle=str(certificate))

    assert send_due(databases, server) == 0

    [record] = [record for record in caplog.records if record.message == "mail_failed"]
    assert "the user or password is not all ASCII" in vars(record)["error"]
    assert password not in caplog.text
    assert notices.has_due_mail(databases.read, now=clock.now() + timedelta(minutes=3))
    assert mailbox.log_ins == []


def test_a_host_that_is_no_name_is_a_mail_failure() -> None:
    with pytest.raises(MailError, match="label"):
        mail.send(MailServer(f"{'a' * 64}.example.com", 25, "a@example.com"), LETTER)


def test_no_password_leaves_without_tls(
    start: Start, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "_is_loopback", lambda host: False)
    server = start(authenticator=mailbox.log_in, auth_require_tls=False)

    with pytest.raises(MailError):
        mail.send(replace(server, user="me", password="s3cret"), LETTER)
    assert mailbox.log_ins == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", ("mail.example.com", 25, False, "", "")),
        ("smtps://mail.example.com", ("mail.example.com", 465, True, "", "")),
        ("smtp://me:p%40ss@mail.example.com:587/", ("mail.example.com", 587, False, "me", "p@ss")),
    ],
)
def test_the_server_is_read_from_its_address(url: str, expected: tuple[object, ...]) -> None:
    server = mail.parse_server_url(url, "a@example.com")
    assert (server.host, server.port, server.is_smtps, server.user, server.password) == expected


def jobs(settings: Settings) -> list[bytes]:
    with Redis.from_url(settings.redis_url) as redis:
        names = redis.lrange("rq:queue:deliveries", 0, -1)
        return [redis.hget(f"rq:job:{name.decode()}", "description") for name in names]


def test_the_sweep_has_due_letters_sent_in_a_job_of_their_own(
    job_app: Flask, settings: Settings, start: Start, mailbox: Mailbox, failing: str
) -> None:
    tasks.sweep()
    assert not any(b"send_mail" in job for job in jobs(settings))

    services(job_app).settings = replace(settings, mail_server=start())
    tasks.sweep()
    assert any(b"send_mail" in job for job in jobs(settings))
    assert mailbox.envelopes == []

    tasks.send_mail()
    wait_for(lambda: mailbox.envelopes)
    wait_for(lambda: not has_thread("job:mail"))
    db.session.rollback()
    assert db.session.scalars(select(Notice.mailed_at)).one() is not None


def test_the_job_does_not_wait_for_a_server_that_hangs(
    job_app: Flask, settings: Settings, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = MailServer("127.0.0.1", silent.getsockname()[1], "a@example.com")
        services(job_app).settings = replace(settings, mail_server=server)
        began = clock.now()
        tasks.send_mail()
        tasks.send_mail()
        assert clock.now() - began < timedelta(seconds=30)
        assert sum(thread.name == "job:mail" for thread in threading.enumerate()) == 1
    wait_for(lambda: not has_thread("job:mail"))


def test_a_workspaces_own_addresses_get_it_instead_of_the_admins(
    database: WriteDatabase, databases: Databases, start: Start, mailbox: Mailbox, failing: str
) -> None:
    with database.begin() as connection:
        connection.execute(
            update(WorkspaceRow).values(notice_addresses=["ops@acme.example", "b@acme.example"])
        )

    send_due(databases, start())
    [envelope] = mailbox.envelopes
    assert envelope.rcpt_tos == ["ops@acme.example", "b@acme.example"]


def test_a_workspace_whose_admins_have_no_mailbox_gets_no_letter(
    database: WriteDatabase, databases: Databases, start: Start, mailbox: Mailbox, failing: str
) -> None:
    with database.begin() as connection:
        connection.execute(update(User).values(email="nobody"))

    send_due(databases, start())
    assert mailbox.envelopes == []
