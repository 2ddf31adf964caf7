"""Judge what came back: bodies and heads beyond bounds, early responses, malformed ones."""

import gzip
import resource
import socket
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.transport.scripted_server import Connection, Serve, answering, closing_after
from tests.transport.sending import HEADERS, collect, send, wait_until
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.transport import exchange
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.worker import retry_decision


def test_reading_an_endless_body_stops_at_16_kib(sender: Sender, serve: Serve) -> None:
    sent = 0

    def endless(connection: Connection) -> None:
        nonlocal sent
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.send(b"y" * 4096)
            sent += 4096

    server = serve(endless)
    outcome = send(sender, server.url)
    assert (outcome.is_success, outcome.status, outcome.truncated) == (True, 200, True)
    assert outcome.response_body == b"y" * 16384
    wait_until(lambda: server.closed == 1)
    assert send(sender, server.url).is_success
    assert server.accepted == 2


def test_a_large_body_of_a_failure_fails_by_its_status(sender: Sender, serve: Serve) -> None:
    server = serve(answering(b"HTTP/1.1 503 Busy\r\ncontent-length: 100000\r\n\r\n" + b"y" * 100_000))
    outcome = send(sender, server.url)
    assert (outcome.kind, outcome.truncated, len(outcome.response_body)) == ("http_5xx", True, 16384)


def test_16_kib_are_whole_and_leave_the_connection_open(sender: Sender, serve: Serve) -> None:
    server = serve(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 16384\r\n\r\n" + b"y" * 16_384))
    outcomes = [send(sender, server.url) for _ in range(2)]
    assert [(len(each.response_body), each.truncated) for each in outcomes] == [(16384, False)] * 2
    assert server.accepted == 1


@pytest.mark.parametrize("field", ["content-encoding: gzip", "transfer-encoding: gzip"])
def test_a_gzip_bomb_is_never_decoded(sender: Sender, serve: Serve, field: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    response = f"HTTP/1.1 200 OK\r\n{field}\r\ncontent-length: {len(bomb)}\r\n\r\n".encode() + bomb
    server = serve(answering(response))
    send(sender, server.url)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = send(sender, server.url)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4_000
    assert b"accept-encoding" not in server.requests[0].lower()
    assert outcome.response_body in (bomb, b"")
    assert outcome.kind == ("success" if outcome.response_body else "invalid_response")


HUGE_HEADERS = b"".join(b"x-%d: %s\r\n" % (number, b"a" * 1000) for number in range(310))


@pytest.mark.parametrize(
    ("response", "kind", "status", "detail"),
    [
        (
            b"HTTP/1.1 200 OK\r\n" + HUGE_HEADERS,
            "invalid_response",
            200,
            "The response is malformed. (Too large",
        ),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 310_000, "invalid_response", 200, "headers are too large"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000, "invalid_response", 100, "Too large response headers"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "invalid_response", 0, "does not begin like an HTTP response"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "invalid_response", 0, "does not begin like an HTTP response"),
        (b"<html>hello</html>", "invalid_response", 0, "Received HTTP/0.9 when not allowed"),
        (b"HTTP/9.9 200 OK\r\n\r\n", "invalid_response", 0, "does not begin like an HTTP response"),
        (
            b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
            "invalid_response",
            999,
            "HTTP has no status 999.",
        ),
        (
            b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
            "invalid_response",
            99,
            "HTTP has no status 99.",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "invalid_response", 200, "malformed"),
        (b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", "invalid_response", 200, "malformed. (NUL byte in header)"),
        (
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "invalid_response",
            200,
            "malformed. (Header without colon)",
        ),
        (
            b"HTTP/1.1 503 N\r\ntransfer-encoding: ch\xff\x1b[mnked\r\n\r\n",
            "invalid_response",
            503,
            r"(ch\xff\x1b[mnked)",
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n",
            "http_1xx",
            100,
            "The connection ended after an interim response (100)",
        ),
        (b"HTTP/1.1 200 OK\r\nx-half: ", "connection_lost", 200, "in the middle of the response's headers."),
        (b"", "connection_lost", 0, "The server closed the connection without a response."),
    ],
)
def test_what_is_no_proper_response_is_a_failure_with_a_reason(
    sender: Sender, serve: Serve, response: bytes, kind: str, status: int, detail: str
) -> None:
    outcome = send(sender, serve(closing_after(response)).url)
    assert (outcome.kind, outcome.status) == (kind, status)
    assert detail in outcome.detail
    assert len(outcome.detail) <= 300
    assert outcome.detail.encode().decode().isprintable()
    assert len(outcome.response_headers) <= exchange.RECORDED_HEADER_BYTES


CUT_SHORT = "The answer's body was cut short: "
INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    ("response", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 204 No\r\n\r\n", b""),
        (INTERIM + b"HTTP/1.1 202 OK\r\ncontent-length: 9\r\n\r\n", b""),
        (CHUNKED + b"2\r\nok\r\n", b"ok"),
        (CHUNKED + b"2\r\nok\r\n0\r\nx-half: ", b"ok"),
        (CHUNKED + b"2\r\nok\r\nzz\r\n", b"ok"),
        (CHUNKED + b"2\r\nok\r\n0\r\nno colon\r\n\r\n", b"ok"),
    ],
)
def test_a_whole_head_with_2xx_is_a_success_whatever_ends_the_body(
    sender: Sender, serve: Serve, response: bytes, body: bytes, is_reset: bool
) -> None:
    outcome = send(sender, serve(closing_after(response, reset=is_reset)).url)
    assert (outcome.kind, outcome.response_body) == ("success", body)
    assert outcome.detail.startswith("" if b" 204 " in response else CUT_SHORT)
    assert not outcome.reached_deadline


def test_a_failure_with_a_cut_body_keeps_the_class_of_its_status(sender: Sender, serve: Serve) -> None:
    server = serve(closing_after(b"HTTP/1.1 503 No\r\nretry-after: 9\r\ncontent-length: 9\r\n\r\nabc"))
    outcome = send(sender, server.url)
    assert (outcome.kind, outcome.retry_after, outcome.response_body) == ("http_5xx", "9", b"abc")
    assert outcome.detail.startswith(CUT_SHORT)


def test_a_trailer_asks_for_no_time(sender: Sender, serve: Serve) -> None:
    head = b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\ntrailer: retry-after\r\n\r\n"
    outcome = send(sender, serve(answering(head + b"2\r\nno\r\n0\r\nretry-after: 600\r\n\r\n")).url)
    assert (outcome.status, outcome.retry_after) == (503, "")
    assert outcome.response_headers == head


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (b"transfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "was not asked for"),
        (b"content-length: 2\r\ncontent-length: 3\r\n\r\nok", "head of the response is malformed"),
    ],
)
def test_a_head_that_does_not_say_where_its_response_ends_is_no_success(
    sender: Sender, serve: Serve, fields: bytes, words: str
) -> None:
    """RFC 9112, section 6.3: such a response is discarded, whatever its status."""
    outcome = send(sender, serve(answering(b"HTTP/1.1 200 OK\r\n" + fields)).url)
    assert (outcome.kind, outcome.status) == (OutcomeClass.INVALID_RESPONSE, 200)
    assert words in outcome.detail


@pytest.mark.parametrize("field", ["content-length: 2", "connection: close"])
def test_an_early_200_counts_although_the_request_was_not_read(
    sender: Sender, serve: Serve, field: str
) -> None:
    is_sent, may_reset = threading.Event(), threading.Event()

    def early(connection: Connection) -> None:
        connection.sock.recv(1000)
        connection.send(f"HTTP/1.1 200 OK\r\n{field}\r\n\r\nok".encode())
        connection.sock.shutdown(socket.SHUT_WR)
        is_sent.set()
        may_reset.wait(60)

    sender.start("key", Request(serve(early).url, HEADERS, b"x" * 8_000_000, 30_000))
    found: dict[object, Outcome] = {}
    while not is_sent.is_set():
        found.update(sender.poll(20))
    for _ in range(5):  # a reset that overtook the response would discard it in the client's socket
        found.update(sender.poll(20))
    may_reset.set()
    outcome = (found or collect(sender, 1))["key"]
    assert (outcome.kind, outcome.status, outcome.response_body) == ("success", 200, b"ok")


def test_an_early_500_fails_by_its_status(sender: Sender, serve: Serve) -> None:
    def early(connection: Connection) -> None:
        connection.sock.recv(1000)
        connection.send(b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno")
        connection.wait_until_closed()

    assert send(sender, serve(early).url, body=b"x" * 8_000_000).kind == "http_5xx"


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(minutes=2)),
        ("9" * 400, timedelta(days=1)),
        ("Fri, 01 Jan 2027 00:00:00 GMT", timedelta(days=1)),
        ("Thu, 01 Jan 2026 00:03:00 GMT", timedelta(minutes=3)),
        *((value, timedelta(seconds=5)) for value in ("0", "-5", "Mon, 01 Jan 1990 00:00:00 GMT")),
        *(
            (value, timedelta(seconds=5))
            for value in ("soon", "1e9", "", "\xff\xfe", "Fri, 99 Foo 9999", "1 2")
        ),
    ],
)
def test_retry_after_is_clamped(sender: Sender, serve: Serve, value: str, wait: timedelta) -> None:
    response = f"HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n".encode("latin-1")
    outcome = send(sender, serve(answering(response)).url)
    decision = retry_decision.decide(outcome, attempts_in_schedule=1, delays=(5.0, 5.0), chance=0.0, now=NOW)
    assert decision.next_attempt_at == NOW + wait


def test_only_the_final_response_may_ask_for_time(sender: Sender, serve: Serve) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nretry-after: 600\r\n\r\n"
    outcome = send(sender, serve(answering(early + b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")).url)
    assert (outcome.status, outcome.retry_after) == (503, "")
    assert outcome.response_headers == b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"


def test_a_trailer_that_looks_like_a_status_line_is_a_trailer(sender: Sender, serve: Serve) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: HTTP/1.1\r\n\r\n"
    early = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    server = serve(answering(early + head + b"2\r\nok\r\n0\r\nHTTP/1.1 500: no\r\n\r\n"))
    outcome = send(sender, server.url)
    assert (outcome.kind, outcome.status, outcome.response_body) == ("success", 200, b"ok")
    assert outcome.response_headers == head


def test_what_lies_idle_keeps_neither_request_nor_answer(sender: Sender, serve: Serve) -> None:
    request = Request(serve().url, HEADERS, bytes(256 * 1024), 30_000)
    before = sys.getrefcount(request), sys.getrefcount(request.body)
    sender.start("key", request)
    assert collect(sender, 1)["key"].is_success
    assert (sys.getrefcount(request), sys.getrefcount(request.body)) == before
    [(_, idle)] = sender._transfers._idle_handles
    assert not hasattr(idle, "body") and not hasattr(idle, "headers")
    assert send(sender, request.url).is_success
