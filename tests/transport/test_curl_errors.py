"""Explain requests that fail: deadlines at each stage, lost connections, refusals, broken TLS."""

import socket
import time

import pycurl
import pytest

from tests.transport.scripted_server import Connection, Script, Serve, closing_after, silence
from tests.transport.sending import (
    HEADERS,
    PATIENCE_SECONDS,
    assert_cut_at_its_deadline,
    send,
    wait_until,
    with_deadline,
)
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.curl_errors import CurlCode
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.sender_limits import ConnectionLimits
from webhooks_app.transport.watched_sockets import READ, WRITE


def body_drip(connection: Connection) -> None:
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
    connection.drip(b"x" * 10_000)


def header_drip(connection: Connection) -> None:
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\n")
    connection.drip(b"x-filler: abc\r\n" * 1000)


def endless_continue(connection: Connection) -> None:
    connection.read()
    while True:
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


def reads_nothing(connection: Connection) -> None:
    connection.server.is_over.wait(2 * PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("script", "body", "stage"),
    [
        (header_drip, b"{}", "the response began (status 200) but did not end"),
        (endless_continue, b"{}", "the response began (status 100) but did not end"),
        (silence, b"{}", "nothing came back"),
        (reads_nothing, b"x" * 8_000_000, "nothing came back"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_whatever_drips_or_hangs_is_cut_at_the_deadline(
    sender: Sender, serve: Serve, script: Script, body: bytes, stage: str
) -> None:
    server = serve(script)
    outcome, deadline_ms = with_deadline(
        lambda timeout_ms: send(sender, server.url, body=body, timeout_ms=timeout_ms), stage
    )
    assert outcome.kind is OutcomeClass.TIMEOUT
    assert outcome.detail == f"No complete response within {deadline_ms / 1000:g} s: {stage}."
    assert_cut_at_its_deadline(outcome, deadline_ms)


def test_a_body_that_drips_is_cut_at_the_deadline_and_does_not_matter(sender: Sender, serve: Serve) -> None:
    url, cut_short = serve(body_drip).url, "The answer's body was cut short: it did not end within"
    outcome, deadline_ms = with_deadline(
        lambda timeout_ms: send(sender, url, timeout_ms=timeout_ms), cut_short
    )
    assert (outcome.kind, outcome.status, outcome.reached_deadline) == ("success", 200, True)
    assert outcome.detail == f"{cut_short} {deadline_ms / 1000:g} s."
    assert_cut_at_its_deadline(outcome, deadline_ms)


def test_a_tls_handshake_that_hangs_is_cut_at_the_deadline(sender: Sender, serve: Serve) -> None:
    url = serve(lambda connection: connection.wait_until_closed()).url.replace("http:", "https:")
    stage = "the TLS handshake was not finished"
    outcome, deadline_ms = with_deadline(lambda timeout_ms: send(sender, url, timeout_ms=timeout_ms), stage)
    assert (outcome.kind, outcome.status) == (OutcomeClass.TIMEOUT, 0)
    assert stage in outcome.detail
    assert_cut_at_its_deadline(outcome, deadline_ms)


def test_a_reset_after_the_request_is_a_lost_connection(sender: Sender, serve: Serve) -> None:
    outcome = send(sender, serve(closing_after(b"", reset=True)).url)
    assert outcome.kind == "connection_lost"
    assert outcome.detail.startswith("The server ended the connection after the request was sent.")


def test_accepting_and_closing_is_a_lost_connection(sender: Sender, serve: Serve) -> None:
    outcome = send(sender, serve(lambda connection: None).url)
    assert outcome.kind == "connection_lost"
    assert outcome.detail


def test_a_refused_connection_says_so(sender: Sender) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        outcome = send(sender, f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert (outcome.kind, outcome.remote_address) == ("connect", "127.0.0.1")
    assert outcome.detail.startswith("The connection was refused: nothing listens there")


def test_a_port_without_tls_says_so(sender: Sender, serve: Serve) -> None:
    def plain(connection: Connection) -> None:
        connection.sock.recv(1000)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    outcome = send(sender, serve(plain).url.replace("http:", "https:"))
    assert (outcome.kind, outcome.detail.split(" (")[0]) == ("tls", "The port does not speak TLS.")


def test_a_connection_closed_within_the_handshake_says_so(sender: Sender, serve: Serve) -> None:
    outcome = send(sender, serve(lambda connection: None).url.replace("http:", "https:"))
    assert (outcome.kind, "ended the connection during the TLS handshake" in outcome.detail) == ("tls", True)


def test_header_values_never_show_in_details(sender: Sender, serve: Serve) -> None:
    for response in (b"", b"junk\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"):
        outcome = send(sender, serve(closing_after(response)).url, headers=[*HEADERS, "x-key: s3cret"])
        assert "s3cret" not in outcome.detail


def test_what_finds_no_free_connection_says_so(sender: Sender, serve: Serve) -> None:
    server = serve(silence)
    per_host = ConnectionLimits().per_host
    for key in range(per_host):
        sender.start(key, Request(server.url, HEADERS, b"{}", 60_000))
    outcome = send(sender, server.url, timeout_ms=200)
    assert outcome.kind == "timeout"
    assert "no connection to the server became free" in outcome.detail
    wait_until(lambda: server.accepted >= per_host)
    assert server.accepted == per_host
    sender.abandon()


def test_our_numbers_are_libcurls() -> None:
    assert (pycurl.POLL_IN, pycurl.POLL_OUT, pycurl.POLL_INOUT) == (READ, WRITE, READ | WRITE)
    assert (pycurl.CSELECT_IN, pycurl.CSELECT_OUT) == (READ, WRITE)
    missing = {"HTTP2_STREAM", "TOO_LARGE", "BAD_CONTENT_ENCODING", "WEIRD_SERVER_REPLY"}
    for code in CurlCode:
        assert code.name in missing or getattr(pycurl, f"E_{code.name}") == code
    assert (pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_FTP_WEIRD_SERVER_REPLY) == (61, 8)
