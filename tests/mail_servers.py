"""SMTP servers on loopback, and what they took."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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
from redis import Redis

from tests.free_ports import free_port
from webhooks_app.config import Settings
from webhooks_app.core.mail import MailServer

Start = Callable[..., MailServer]


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


@pytest.fixture
def mailbox() -> Mailbox:
    """What the servers of `start_smtp` took."""
    return Mailbox()


@pytest.fixture
def start_smtp(mailbox: Mailbox) -> Iterator[Start]:
    """Starts an SMTP server with the options given, and returns where to hand in mail."""
    with ExitStack() as running:

        def start(*, is_smtps: bool = False, **options: Any) -> MailServer:
            port = free_port()
            context = options.pop("ssl_context", None)
            controller = Controller(
                mailbox,
                hostname="127.0.0.1",
                port=port,
                ssl_context=context if is_smtps else None,
                ready_timeout=120,  # seconds
                **options,
            )
            controller.start()
            running.callback(controller.stop)
            return MailServer("127.0.0.1", port, "webhooks@example.com", is_smtps=is_smtps)

        yield start


@pytest.fixture(scope="session")
def smtp_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a key and its self-signed certificate for 127.0.0.1."""
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


def queued_jobs(settings: Settings) -> list[bytes]:
    """Return what is queued, each job as the call that it makes."""
    with Redis.from_url(settings.redis_url) as redis:
        names = redis.lrange("rq:queue:deliveries", 0, -1)
        return [redis.hget(f"rq:job:{name.decode()}", "description") for name in names]
