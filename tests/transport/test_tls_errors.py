"""Explain TLS handshakes that a server refuses, whenever its alert comes."""

import ssl
from collections.abc import Iterator

import pytest

from tests.transport.certificates import Authority
from tests.transport.http2_server import offering_http2
from tests.transport.scripted_server import OK, Connection, Server, answering
from tests.transport.sending import DnsAnswers, new_sender, send
from webhooks_app.core.outcomes import OutcomeClass, Timings
from webhooks_app.transport.curl_errors import CurlCode, FailureContext, explain
from webhooks_app.transport.sender import Sender


@pytest.fixture
def sender(authority: Authority, dns_answers: DnsAnswers) -> Iterator[Sender]:
    dns_answers["hooks.test"] = [["127.0.0.1"]]
    made = new_sender(ca_bundle=str(authority.path))
    yield made
    made.close()


@pytest.mark.parametrize("body", [b"{}", b"x" * 250_000], ids=["small", "large"])
@pytest.mark.parametrize("is_http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_server_that_demands_a_client_certificate_is_said_to(
    sender: Sender, authority: Authority, version: str, is_http2: bool, body: bytes
) -> None:
    context = authority.context("hooks.test")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.path)
    context.maximum_version = ssl.TLSVersion[version]
    with Server(answering(OK), tls=offering_http2(context) if is_http2 else context) as server:
        outcomes = [send(sender, server.url_for("hooks.test"), body=body) for _ in range(30)]
    assert {each.kind for each in outcomes} == {OutcomeClass.TLS}
    assert all("demands a client certificate" in each.detail for each in outcomes)


@pytest.mark.parametrize("is_http2", [False, True], ids=["http1", "http2"])
def test_a_server_that_asks_for_a_certificate_and_is_lost_behind_the_request_is_said_to(
    sender: Sender, authority: Authority, is_http2: bool
) -> None:
    def resets(connection: Connection) -> None:
        connection.sock.recv(65536) if is_http2 else connection.read()
        connection.reset()

    context = asking(authority)
    with Server(resets, tls=offering_http2(context) if is_http2 else context) as server:
        outcomes = [
            send(sender, server.url_for("hooks.test")) for _ in range(3)
        ]  # later sessions are resumed
    assert {each.kind for each in outcomes} == {OutcomeClass.TLS}
    assert all("asked for a client certificate" in each.detail for each in outcomes)


def test_a_server_that_asks_for_a_certificate_and_answers_without_has_its_connections_lost_otherwise(
    sender: Sender, authority: Authority
) -> None:
    is_up = True

    def answers_once(connection: Connection) -> None:
        connection.read()
        if is_up:
            connection.send(OK)
            connection.read()
        connection.reset()

    with Server(answers_once, tls=asking(authority)) as server:
        url = server.url_for("hooks.test")
        assert send(sender, url).is_success
        is_up = False
        kinds = [send(sender, url).kind for _ in range(2)]
    assert kinds == [OutcomeClass.CONNECTION_LOST, OutcomeClass.TLS]


def asking(authority: Authority) -> ssl.SSLContext:
    """A server's side that asks for a certificate, and takes none without an alert."""
    context = authority.context("hooks.test")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(authority.path)
    return context


def test_a_server_that_asked_for_nothing_and_is_lost_is_a_lost_connection(
    sender: Sender, authority: Authority
) -> None:
    def resets(connection: Connection) -> None:
        connection.read()
        connection.reset()

    with Server(resets, tls=authority.context("hooks.test")) as server:
        assert send(sender, server.url_for("hooks.test")).kind is OutcomeClass.CONNECTION_LOST


# Descriptions of alerts (RFC 8446, section 6), of which a server may send any after our side has finished.
ALERTS = {
    20: "alert",  # bad_record_mac
    40: "no TLS parameters in common",
    42: "demands a client certificate",
    43: "demands a client certificate",
    44: "demands a client certificate",
    45: "demands a client certificate",
    46: "demands a client certificate",
    48: "demands a client certificate",
    49: "access denied",
    70: "no TLS version that we accept",
    71: "stronger TLS parameters",
    80: "an error of its own",
    112: "no certificate for hooks.test",
    116: "demands a client certificate",
    120: "neither HTTP/1.1 nor HTTP/2",
}


@pytest.mark.parametrize(("description", "words"), ALERTS.items())
def test_an_alert_instead_of_a_handshake_is_explained(sender: Sender, description: int, words: str) -> None:
    def alerts(connection: Connection) -> None:
        connection.sock.recv(4096)
        connection.send(bytes([21, 3, 3, 0, 2, 2, description]))
        connection.wait_until_closed()

    with Server(alerts) as server:
        outcome = send(sender, server.url_for("hooks.test").replace("http:", "https:"))
    assert (outcome.kind, outcome.status) == (OutcomeClass.TLS, 0)
    assert words in outcome.detail


@pytest.mark.parametrize(
    "code", [CurlCode.RECV_ERROR, CurlCode.SEND_ERROR, CurlCode.HTTP2, CurlCode.GOT_NOTHING]
)
@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("tlsv13 alert certificate required", "demands a client certificate"),
        ("ssl/tls alert bad certificate", "demands a client certificate"),
        ("tlsv1 alert unknown ca", "demands a client certificate"),
        ("tlsv1 alert access denied", "access denied"),
        ("ssl/tls alert handshake failure", "no TLS parameters in common"),
        ("tlsv1 unrecognized name", "no certificate for hooks.test"),
        ("tlsv1 alert protocol version", "no TLS version that we accept"),
        ("tlsv1 alert internal error", "an error of its own"),
        ("tlsv1 alert something new", "with an alert"),
    ],
)
def test_an_alert_that_comes_after_the_handshake_is_explained(
    code: CurlCode, reason: str, words: str
) -> None:
    message = f"OpenSSL SSL_read: OpenSSL/3.6.5: error:0A000001:SSL routines::{reason}, errno 0"
    kind, detail = explain(code, message, context(status=0))
    assert (kind, words in detail) == (OutcomeClass.TLS, True)


def test_an_alert_in_the_middle_of_a_response_is_a_lost_connection() -> None:
    message = "OpenSSL SSL_read: error:0A000438:SSL routines::tlsv1 alert internal error, errno 0"
    kind, _ = explain(CurlCode.RECV_ERROR, message, context(status=200))
    assert kind is OutcomeClass.CONNECTION_LOST


def test_a_tls_connection_that_is_cut_behind_a_whole_head_is_a_success(
    sender: Sender, authority: Authority
) -> None:
    def cuts(connection: Connection) -> None:  # Python's close sends no close_notify
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of")

    with Server(cuts, tls=authority.context("hooks.test")) as server:
        outcome = send(sender, server.url_for("hooks.test"))
    assert (outcome.kind, outcome.response_body) == (OutcomeClass.SUCCESS, b"half of")
    assert outcome.detail.startswith("The answer's body was cut short: ")


def context(*, status: int) -> FailureContext:
    return FailureContext(
        host="hooks.test",
        port=443,
        is_tls=True,
        timeout_ms=5000,
        has_opened_socket=True,
        has_connection=True,
        status=status,
        os_error=0,
        timings=Timings(),
    )
