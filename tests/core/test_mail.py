"""Mail that is handed to a real SMTP server on loopback."""

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.mail_servers import Mailbox, Start, tls
from webhooks_app.core import ip_addresses, mail
from webhooks_app.core.mail import Email, MailError, MailServer

MAIL = Email("ntc_1", ("a@example.com",), "Hello", "Text\n", datetime(2030, 1, 1, tzinfo=UTC))


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


def test_unusable_addresses_are_left_out(start_smtp: Start, mailbox: Mailbox) -> None:
    mail.send(start_smtp(), replace(MAIL, to=("x\r\nRCPT TO:<evil@example.net>", "a@example.com", "b@c@d,e")))

    assert mailbox.envelopes[0].rcpt_tos == ["a@example.com"]


def test_a_server_that_hangs_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = MailServer("127.0.0.1", silent.getsockname()[1], "a@example.com", timeout_seconds=0.2)
        with pytest.raises(MailError, match="timed out"):
            mail.send(server, MAIL)


@pytest.mark.parametrize("is_smtps", [False, True])
def test_tls_is_used_and_verified(
    start_smtp: Start, mailbox: Mailbox, smtp_certificate: Path, is_smtps: bool
) -> None:
    context = tls(smtp_certificate)
    options = {"ssl_context": context} if is_smtps else {"tls_context": context}
    server = start_smtp(is_smtps=is_smtps, **options)

    with pytest.raises(MailError, match="CERTIFICATE_VERIFY_FAILED"):
        mail.send(server, MAIL)
    mail.send(replace(server, ca_bundle=str(smtp_certificate)), MAIL)

    assert mailbox.was_tls == [True]


def test_it_logs_in_where_the_address_names_a_user(
    start_smtp: Start, mailbox: Mailbox, smtp_certificate: Path
) -> None:
    server = start_smtp(authenticator=mailbox.log_in, tls_context=tls(smtp_certificate))
    server = replace(server, user="me", password="s3cret", ca_bundle=str(smtp_certificate))

    mail.send(server, MAIL)
    with pytest.raises(MailError, match=r"^SMTPAuthenticationError 535$"):
        mail.send(replace(server, password="wr0ng"), MAIL)

    assert mailbox.log_ins[0] == (b"me", b"s3cret")
    assert "s3cret" not in repr(server)


def test_a_host_that_is_no_name_is_a_mail_failure() -> None:
    with pytest.raises(MailError, match="label"):
        mail.send(MailServer(f"{'a' * 64}.example.com", 25, "a@example.com"), MAIL)


def test_no_password_leaves_without_tls(
    start_smtp: Start, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ip_addresses, "is_loopback", lambda host: False)
    server = start_smtp(authenticator=mailbox.log_in, auth_require_tls=False)

    with pytest.raises(MailError):
        mail.send(replace(server, user="me", password="s3cret"), MAIL)
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


@pytest.mark.parametrize(("tries", "minutes"), [(0, 2), (1, 4), (4, 32), (5, 60), (1000, 60)])
def test_the_pause_doubles_with_each_try_up_to_an_hour(tries: int, minutes: int) -> None:
    assert mail.pause_after(tries, timedelta(minutes=2)) == timedelta(minutes=minutes)
