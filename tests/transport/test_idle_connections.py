"""Reuse connections that were left idle, and replace those that broke or have bytes unasked."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.transport.certificates import Authority
from tests.transport.scripted_server import OK, Connection, Serve, answering
from tests.transport.sending import HEADERS, DnsAnswers, collect, new_sender, send, wait_until
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender


def test_an_idle_connection_that_was_closed_is_replaced_unseen(sender: Sender, serve: Serve) -> None:
    def once(connection: Connection) -> None:
        connection.read()
        connection.send(OK)

    server = serve(once)
    for count in range(1, 4):
        assert send(sender, server.url).is_success
        wait_until(lambda: server.closed == count)  # noqa: B023  called at once
    assert (server.accepted, len(server.requests)) == (3, 3)


REQUEST_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("unasked", [OK.replace(b"ok", b"no"), REQUEST_TIMEOUT], ids=["200", "408"])
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("pause", [0.0, 0.02], ids=["at once", "later"])
def test_what_comes_unasked_on_an_idle_connection_answers_nothing(
    serve: Serve, dns_answers: DnsAnswers, authority: Authority, unasked: bytes, is_tls: bool, pause: float
) -> None:
    was_answered, was_sent = threading.Semaphore(0), threading.Semaphore(0)

    def sends_more(connection: Connection) -> None:
        connection.read()
        connection.send(OK)
        if is_tls:  # what is read along with the response stays in the TLS layer, where no poll sees it
            was_answered.acquire(timeout=30)
        time.sleep(pause)
        connection.send(unasked)
        was_sent.release()
        while connection.read():
            connection.send(OK)

    server = serve(sends_more, tls=authority.context("hooks.test") if is_tls else None)
    dns_answers["hooks.test"] = [["127.0.0.1"]]
    sender = new_sender(ca_bundle=str(authority.path))
    for count in range(1, 4):
        outcome = send(sender, server.url_for("hooks.test"))
        was_answered.release()
        assert (outcome.kind, outcome.response_body) == ("success", b"ok")
        assert outcome.timings.connect_us > 0
        assert was_sent.acquire(timeout=30)
        assert (server.accepted, len(server.requests)) == (count, count)
    sender.close()


class TlsRecords:
    """Speak TLS by hand, so that several records leave in one piece."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock, self._received, self._waiting = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._waiting, server_side=True)
        self._until_done(self._tls.do_handshake)
        self.send()

    def read(self, body: bytes) -> bool:
        """Read a request with this body; return False when the client closed."""
        received = b""
        while not received.endswith(b"\r\n\r\n" + body):
            if not (data := self._until_done(lambda: self._tls.read(65536))):
                return False
            received += data
        return True

    def send(self, *records: bytes) -> None:
        for record in records:
            self._tls.write(record)
        self._sock.sendall(self._waiting.read())

    def _until_done(self, act: Callable[[], Any]) -> Any:
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                self._sock.sendall(self._waiting.read())
                if not (data := self._sock.recv(65536)):
                    return b""
                self._received.write(data)
            except ssl.SSLError:  # the client closed
                return b""


@pytest.mark.parametrize(
    "unasked", [OK.replace(b"ok", b"no"), REQUEST_TIMEOUT, b"junk\r\n"], ids=["200", "408", "junk"]
)
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("body", [b"{}", b"x" * 1_000_000], ids=["small", "sent in several calls"])
def test_a_tls_record_that_comes_in_one_piece_with_a_response_answers_nothing(
    serve: Serve, dns_answers: DnsAnswers, authority: Authority, unasked: bytes, version: str, body: bytes
) -> None:
    def sends_more_at_once(connection: Connection) -> None:
        tls = TlsRecords(connection.sock, context)
        while tls.read(body):
            tls.send(OK, unasked)

    context = authority.context("hooks.test")
    context.maximum_version = ssl.TLSVersion[version]
    server = serve(sends_more_at_once)
    dns_answers["hooks.test"] = [["127.0.0.1"]]
    sender = new_sender(ca_bundle=str(authority.path))
    url = server.url_for("hooks.test").replace("http:", "https:")
    outcomes = [send(sender, url, body=body) for _ in range(4)]
    sender.close()
    assert [(each.kind, each.response_body) for each in outcomes] == [("success", b"ok")] * 4
    assert server.accepted == 4


def test_tls_connections_are_reused_where_nothing_comes_unasked(
    serve: Serve, dns_answers: DnsAnswers, authority: Authority
) -> None:
    server = serve(answering(OK), tls=authority.context("hooks.test"))
    dns_answers["hooks.test"] = [["127.0.0.1"]]
    sender = new_sender(ca_bundle=str(authority.path))
    assert all(send(sender, server.url_for("hooks.test")).is_success for _ in range(50))
    sender.close()
    assert (server.accepted, len(server.requests)) == (1, 50)


def test_the_connection_of_a_request_that_was_sent_again_is_reused(sender: Sender, serve: Serve) -> None:
    was_sent = threading.Event()

    def sends_more(connection: Connection) -> None:
        is_first = server.accepted == 1
        while connection.read():
            connection.send(OK)
            if is_first:
                time.sleep(0.02)
                connection.send(REQUEST_TIMEOUT)
                was_sent.set()

    server = serve(sends_more)
    assert send(sender, server.url).is_success
    assert was_sent.wait(30)
    assert [send(sender, server.url).kind for _ in range(3)] == ["success"] * 3
    assert (server.accepted, len(server.requests)) == (2, 4)


def test_an_idle_connection_that_breaks_under_a_request_is_tried_once_more(
    sender: Sender, serve: Serve
) -> None:
    def closes_on_second(connection: Connection) -> None:
        connection.read()
        connection.send(OK)
        connection.read()

    server = serve(closes_on_second)
    outcomes = [send(sender, server.url) for _ in range(2)]
    assert [each.kind for each in outcomes] == ["success", "success"]
    assert (server.accepted, len(server.requests)) == (2, 3)
    assert outcomes[1].timings.connect_us > 0


def test_a_request_meets_one_breaking_connection_at_most(sender: Sender, serve: Serve) -> None:
    may_break = threading.Event()

    def breaks_on_second(connection: Connection) -> None:
        connection.read()
        may_break.wait(30)
        connection.send(OK)
        if connection.read():
            time.sleep(0.1)
        connection.reset()

    server = serve(breaks_on_second)
    for key in range(20):
        sender.start(key, Request(server.url, HEADERS, b"{}", 30_000))
    wait_until(lambda: sender.poll(10) == [] and len(server.requests) == 20)
    may_break.set()
    collect(sender, 20)
    outcome = send(sender, server.url)
    assert outcome.is_success
    assert (len(server.requests), server.accepted) == (22, 21)
    assert outcome.timings.total_us > 100_000
