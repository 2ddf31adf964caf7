"""E-mail by SMTP (RFC 5321), in plain text. It may be slow: nothing that delivers webhooks waits for it."""

import logging
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import idna

from webhooks_app.core import ip_addresses

log = logging.getLogger(__name__)

_PORTS = {"smtp": 25, "smtps": 465}
# Between two tries of an e-mail: a server that was away for long is found back within that time.
LONGEST_MAIL_PAUSE = timedelta(hours=1)


class MailError(Exception):
    """The server could not be reached or did not take the message; worth another try later."""


@dataclass(frozen=True)
class MailServer:
    """Where e-mail is handed in, and in whose name. With `smtps` TLS comes first, otherwise STARTTLS."""

    host: str
    port: int
    sender: str
    is_smtps: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    ca_bundle: str | None = None
    timeout_seconds: float = 10.0  # to connect, and for each answer

    @property
    def has_ascii_log_in(self) -> bool:
        """smtplib sends no other user and password."""
        return self.user.isascii() and self.password.isascii()


@dataclass(frozen=True)
class Email:
    """`id` stays the same when it is sent again, so that a reader's mail program shows it once."""

    id: str
    to: Sequence[str]
    subject: str
    text: str
    written_at: datetime


def parse_server_url(url: str, sender: str, ca_bundle: str | None = None) -> MailServer:
    """Return the server of `smtp://user:password@host:port` or `smtps://…`. Raises ValueError."""
    parts = urlsplit(url)
    port = parts.port  # raises ValueError for what is none
    if parts.scheme not in _PORTS or not parts.hostname or port == 0 or parts.path not in ("", "/"):
        raise ValueError("it must look like smtp://user:password@mail.example.com:587 or smtps://…")
    parse_address(sender)
    return MailServer(
        host=_ascii_domain(parts.hostname),
        port=port or _PORTS[parts.scheme],
        sender=sender,
        is_smtps=parts.scheme == "smtps",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        ca_bundle=ca_bundle,
    )


def parse_address(text: str) -> Address:
    """Return a mailbox, its domain in ASCII. Raises ValueError for what could be read as more than one."""
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or any(mark in text for mark in '<>,;:"\\()[] \t\r\n\0'):
        raise ValueError(f"not an e-mail address: {text[:80]!r}")
    try:
        return Address(addr_spec=f"{local}@{_ascii_domain(domain)}")
    except (MessageError, ValueError, IndexError) as error:
        raise ValueError(f"not an e-mail address: {text[:80]!r}") from error


def _ascii_domain(domain: str) -> str:
    """Return the domain as DNS has it. Raises ValueError.

    By IDNA 2008: Python's own codec would make strasse.de of straße.de.
    """
    name = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    if any(not 0 < len(label) < 64 for label in name.removesuffix(".").split(".")):
        raise ValueError(f"not a host name: {name[:80]!r}")
    return name


def send(server: MailServer, email: Email) -> None:
    """Hand the e-mail to the server, for every recipient it can be addressed to. Raises MailError."""
    try:
        with _connect(server) as connection:
            recipients = _usable(email.to, takes_utf8=connection.has_extn("smtputf8"))
            if not recipients:
                return
            refused = connection.send_message(_build_message(server, email, recipients))
    except (OSError, UnicodeError, smtplib.SMTPException) as error:  # UnicodeError: a host that is no name
        raise MailError(_reason(error)) from None
    if refused:
        log.warning("mail_refused", extra={"email_id": email.id, "recipients": len(refused)})


def try_log_in(server: MailServer) -> None:
    """Connect and log in as `send` does, and hand over nothing. Raises MailError."""
    try:
        with _connect(server) as connection:
            connection.noop()
    except (OSError, UnicodeError, smtplib.SMTPException) as error:
        raise MailError(_reason(error)) from None


def _connect(server: MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=server.ca_bundle)
    if server.is_smtps:
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=server.timeout_seconds, context=context
        )
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=server.timeout_seconds)
    try:
        _secure_and_log_in(connection, server, context)
    except BaseException:
        connection.close()
        raise
    return connection


def _secure_and_log_in(connection: smtplib.SMTP, server: MailServer, context: ssl.SSLContext) -> None:
    connection.ehlo_or_helo_if_needed()
    is_private = server.is_smtps or ip_addresses.is_loopback(server.host)
    if not server.is_smtps and connection.has_extn("starttls"):
        connection.starttls(context=context)
        connection.ehlo()
        is_private = True
    if not server.user:
        return
    if not is_private:
        raise smtplib.SMTPException("no TLS offered, so the password was not sent")
    if not server.has_ascii_log_in:
        raise smtplib.SMTPException("the user or password is not all ASCII, and so cannot be sent")
    connection.login(server.user, server.password)


def pause_after(tries: int, first: timedelta) -> timedelta:
    """Return the pause after a try to send: `first`, doubled with each one before, up to an hour."""
    doubled: timedelta = first * 2 ** min(tries, 10)
    return min(doubled, LONGEST_MAIL_PAUSE)


def _usable(texts: Sequence[str], *, takes_utf8: bool) -> list[Address]:
    found: list[Address] = []
    for text in texts:
        try:
            recipient = parse_address(text)
        except ValueError:
            continue
        if takes_utf8 or recipient.addr_spec.isascii():
            found.append(recipient)
    if len(found) < len(texts):
        log.warning("mail_unaddressable", extra={"recipients": len(texts) - len(found)})
    return found


def _build_message(server: MailServer, email: Email, recipients: Sequence[Address]) -> EmailMessage:
    sender = parse_address(server.sender)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Avra webhooks", addr_spec=sender.addr_spec)
    message["To"] = recipients
    message["Subject"] = one_line(email.subject)
    message["Date"] = format_datetime(email.written_at)
    message["Message-ID"] = f"<{email.id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
    message.set_content(email.text)
    return message


def one_line(text: str) -> str:
    """Return the text without anything that could end a header's line or hide in it."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())


def _reason(error: Exception) -> str:
    """What went wrong, without what the server said: that may repeat what it was sent."""
    name = type(error).__name__
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{name} {error.smtp_code}"
    return name if isinstance(error, smtplib.SMTPRecipientsRefused) else f"{name}: {error}"
