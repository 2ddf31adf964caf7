"""Clients that are slow, silent or broken: each comes to an end, and holds no thread meanwhile."""

import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest

from tests.server.running_server import PATIENT, SECONDS, RunningServer, read_all, serving
from tests.waiting import wait_for
from webhooks_app.server.server_limits import DEFAULT_LIMITS

Answer = Iterable[bytes]
SHORT = replace(DEFAULT_LIMITS, head_seconds=1.0, body_seconds=1.0, answer_seconds=1.0, stop_seconds=1)
SMALL = replace(PATIENT, discard_seconds=600.0, head_bytes=8192, body_bytes=100_000)
# Patient ones, of which none may count on a deadline to let the others through.
MANY = 200
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Answer:
    if environ["PATH_INFO"] == "/endless":
        start("200 OK", [("Content-Type", "text/plain")])
        return endless()
    size = int(environ["PATH_INFO"].strip("/") or 2)
    environ["wsgi.input"].read()
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(size))])
    return [b"x" * size]


begun_streams, closed_streams = list[str](), list[str]()


def endless() -> Iterator[bytes]:
    begun_streams.append("endless")
    try:
        while True:
            yield b"y" * 65536
    finally:
        closed_streams.append("endless")


@pytest.fixture(scope="module")
def patient() -> Iterator[RunningServer]:
    with serving(application) as server:
        yield server


@pytest.fixture(scope="module")
def impatient() -> Iterator[RunningServer]:
    with serving(application, SHORT) as server:
        yield server


@pytest.fixture(scope="module")
def strict() -> Iterator[RunningServer]:
    """About sizes, and in no hurry: on a busy machine some megabytes may take more than a second."""
    with serving(application, SMALL) as server:
        yield server


def get(server: RunningServer, path: str = "/") -> bytes:
    return server.exchange(b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path.encode())


def answered(ask: Callable[[], bytes], status: int) -> bytes:
    """Ask until the answer has that status: who stands still for a second may be left before it has asked."""
    answers = [b""]

    def is_answered_so() -> bool:
        with suppress(ConnectionError):
            answers.append(ask())
        return answers[-1].startswith(b"HTTP/1.1 %d " % status)

    wait_for(is_answered_so)
    return answers[-1]


def open_many(server: RunningServer, stack: ExitStack, start: bytes) -> None:
    for _ in range(MANY):
        client = stack.enter_context(server.connect())
        client.sendall(start)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="silent"),
        pytest.param(b"GET / HT", id="slow head"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", id="slow body"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", id="slow chunk"
        ),
        pytest.param(b"GET /900000 HTTP/1.1\r\nHost: a\r\n\r\n", id="unread answer"),
        pytest.param(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n", id="unread stream"),
    ],
)
def test_two_hundred_slow_clients_keep_nobody_from_an_answer(patient: RunningServer, start: bytes) -> None:
    with ExitStack() as stack:
        open_many(patient, stack, start)
        assert get(patient).startswith(b"HTTP/1.1 200 ")  # long before any deadline


@pytest.mark.parametrize("start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_whoever_asks_for_nothing_makes_room_for_who_does(start: bytes) -> None:
    limits = replace(PATIENT, connections=10)
    with serving(application, limits) as server, ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(server.connect())
            client.sendall(start)
            if start.endswith(b"\r\n\r\n"):  # it asks for nothing more once it has its answer
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert get(server).startswith(b"HTTP/1.1 200 ")


def test_who_finds_no_place_is_told_to_come_again() -> None:
    limits = replace(PATIENT, connections=10)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    with serving(application, limits) as server, ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(server.connect())
            client.sendall(head)
            assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        answer = answered(lambda: get(server), 503)
        assert b"\r\nretry-after: 1\r\n" in answer
        client.sendall(b"x" * 9)  # those that are under way are not disturbed
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_silent_connection_is_closed(impatient: RunningServer) -> None:
    assert impatient.exchange() == b""


def test_a_slow_head_is_answered_408(impatient: RunningServer) -> None:
    answered(lambda: impatient.exchange(b"GET / HTTP/1.1\r\n", b"A: "), 408)


def test_a_slow_head_behind_an_answer_is_answered_408(impatient: RunningServer) -> None:
    def ask() -> bytes:
        return impatient.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HT")

    wait_for(lambda: b"HTTP/1.1 408 " in answered(ask, 200))


def test_a_blank_line_behind_an_answer_keeps_no_connection(impatient: RunningServer) -> None:
    def ask() -> bytes:
        with impatient.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = client.recv(65536)
            with suppress(ConnectionError):  # a reset is an end as well
                client.sendall(b"\r\n")
                read_all(client)
        return answer

    answered(ask, 200)


def test_the_head_of_a_next_request_puts_nothing_into_an_answer() -> None:
    with (
        serving(application, replace(PATIENT, head_seconds=1.0, stop_seconds=1)) as server,
        server.connect() as client,
    ):
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")
        deadline, received = time.monotonic() + 3 * SHORT.head_seconds, b""
        while time.monotonic() < deadline:
            received = received[-20:] + client.recv(65536)
            assert b"HTTP/1.1 408" not in received


def test_zeros_before_a_length_are_no_error(patient: RunningServer) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %s5\r\n\r\n"
    assert patient.exchange(head % (b"0" * 5000), b"12345").startswith(b"HTTP/1.1 200 ")


def test_a_server_that_ends_waits_for_no_body_and_complains_of_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ExitStack() as stack, serving(application, replace(PATIENT, stop_seconds=600)) as server:
        for start in (b"", b"GET / HT", CHUNKED + b"3\r\nab"):
            for _ in range(10):
                stack.enter_context(server.connect()).sendall(start)
        assert get(server).startswith(b"HTTP/1.1 200 ")
    assert caplog.records == []


def test_a_head_that_drips_is_cut_at_the_deadline(impatient: RunningServer) -> None:
    answered(lambda: drip(impatient, b"", b"GET / HTTP/1.1\r\nA: " + b"a" * 500), 408)


@pytest.mark.parametrize("head", [b"Content-Length: 500", b"Transfer-Encoding: chunked"])
def test_a_body_that_drips_is_cut_at_the_deadline(impatient: RunningServer, head: bytes) -> None:
    start = b"POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % head
    body = b"1\r\na\r\n" * 500 if b"chunked" in head else b"a" * 499
    received = answered(lambda: drip(impatient, start, body), 408)
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"


def drip(server: RunningServer, start: bytes, text: bytes) -> bytes:
    """Send the start, then the text byte by byte until an answer comes, and return that."""
    with server.connect() as client:
        client.sendall(start)
        client.settimeout(0.02)
        for byte in text:
            with suppress(TimeoutError, ConnectionError):  # a byte may meet a connection that was just closed
                client.sendall(bytes([byte]))
            with suppress(TimeoutError):
                received = client.recv(65536)
                break
        else:
            raise AssertionError("all of it was taken")
        client.settimeout(SECONDS)
        with suppress(ConnectionError):
            received += read_all(client)
    return received


def test_a_large_head_is_answered_431(strict: RunningServer) -> None:
    with strict.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 8192)
        assert client.recv(65536).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("path", [b"/3000000", b"/endless"])
def test_an_answer_that_nobody_reads_ends(impatient: RunningServer, path: bytes) -> None:
    begun_streams.clear()
    closed_streams.clear()

    def ask_and_read_nothing() -> bool:
        with impatient.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            wait_until_reset(client)
        return path != b"/endless" or bool(begun_streams)

    wait_for(ask_and_read_nothing)
    wait_for(lambda: closed_streams == begun_streams)


def wait_until_reset(client: socket.socket) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            client.sendall(b"x")
        except OSError:
            return
        time.sleep(0.1)
    raise AssertionError("the connection is still open")


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"-1\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
    ],
)
def test_broken_chunks_are_answered_400(patient: RunningServer, body: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert patient.exchange(head, body).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "head",
    [
        CHUNKED.replace(b"Host", b"Content-Length: 3\r\nHost") + b"3\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3x\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS to a port that speaks plain HTTP
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_broken_heads_are_answered_400(patient: RunningServer, head: bytes) -> None:
    assert patient.exchange(head).startswith(b"HTTP/1.1 400 ")


def test_a_trailer_is_left_out(patient: RunningServer) -> None:
    head = CHUNKED.replace(b"Host", b"Connection: close\r\nHost")
    assert patient.exchange(head, b"3\r\nabc\r\n0\r\nA: b\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_body_that_ends_early_reaches_no_application(strict: RunningServer) -> None:
    with strict.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        client.shutdown(socket.SHUT_WR)
        assert b"200 OK" not in read_all(client)


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_body_over_the_limit_is_answered_413_before_it_is_read(
    strict: RunningServer, expect: bytes
) -> None:
    with strict.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n%sContent-Length: 100001\r\n\r\n" % expect)
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_who_sends_all_of_a_body_over_the_limit_reads_413(strict: RunningServer, is_chunked: bool) -> None:
    size = 3_000_000
    head = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % size
    body = b"x" * size
    if is_chunked:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    answer = strict.exchange(b"POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % head, body)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_bodies_of_all_requests_together_are_limited() -> None:
    limits = replace(PATIENT, bodies_bytes=200_000)
    start = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n"
    with serving(application, limits) as server, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(server.connect()).sendall(start + b"x" * 89_999)
        closing = start.replace(b"Host", b"Connection: close\r\nHost")
        wait_for(lambda: server.exchange(closing, b"x" * 90_000).startswith(b"HTTP/1.1 503 "))
        small = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 900\r\n\r\n"
        assert server.exchange(small, b"x" * 900).startswith(b"HTTP/1.1 200 ")
        assert get(server).startswith(b"HTTP/1.1 200 ")
        stack.close()
        wait_for(lambda: server.exchange(closing, b"x" * 90_000).startswith(b"HTTP/1.1 200 "))
