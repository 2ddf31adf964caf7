"""What leaves and what comes back, against real servers on loopback that drip, hang, lie, bomb and rebind.

Of loopback, 127.0.0.1 and ::1 stand for public addresses here, and the rest for forbidden ones.
"""

import errno
import gc
import gzip
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pycurl
import pytest

from tests.hostile import OK, Authority, Connection, Script, Server, answering
from webhooks_app.config import ROOT
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.transport import exchange, resolver, sockets
from webhooks_app.transport.curl_errors import CurlCode
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolved_target import Target
from webhooks_app.transport.sender import CONNECTIONS_PER_HOST, Sender
from webhooks_app.transport.sockets import READ, WRITE
from webhooks_app.transport.target_policy import TargetPolicy
from webhooks_app.worker import retry_decision

POLICY = TargetPolicy(allow_http=True, allowed_networks=(ip_network("127.0.0.1/32"), ip_network("::1/128")))
HEADERS = ["content-type: application/json", "user-agent: Test", "Accept:", "Expect:"]
DEADLINE_MS = 400
# What is not cut at its deadline here lasts minutes; a busy machine needs seconds.
PATIENCE_SECONDS = 30


def new_sender(policy: TargetPolicy = POLICY, ca_bundle: str | None = None, capacity: int = 500) -> Sender:
    return Sender(policy=policy, ca_bundle=ca_bundle, capacity=capacity)


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = new_sender()
    yield made
    made.close()


def collect(sender: Sender, count: int) -> dict[object, Outcome]:
    found: dict[object, Outcome] = {}
    limit = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < limit, f"{count - len(found)} outcomes are missing"
        found.update(sender.poll(20))
    return found


def send(
    sender: Sender, url: str, *, body: bytes = b"{}", headers: list[str] = HEADERS, timeout_ms: int = 30_000
) -> Outcome:
    sender.start("key", Request(url, headers, body, timeout_ms))
    return collect(sender, 1)["key"]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:

        def start(script: Script | None = None, ip: str = "127.0.0.1", **options: Any) -> Server:
            return stack.enter_context(Server(script or answering(OK), ip, **options))

        yield start


Serve = Callable[..., Server]
System = dict[str, list[list[str]]]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    """What the system's resolver answers for a name, one answer after the other; the last one stays."""
    answers: System = {}
    ask = socket.getaddrinfo

    def getaddrinfo(host: str | bytes, *args: object, **options: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in answers:
            return ask(host, *args, **options)
        found = answers[name].pop(0) if len(answers[name]) > 1 else answers[name][0]
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0))
            for each in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


def raw(response: bytes, *, reset: bool = False) -> Script:
    """Reads the request, gives this back and closes."""

    def script(connection: Connection) -> None:
        connection.read()
        connection.send(response)
        if reset:
            connection.reset()

    return script


# Slow: lines 17 and 20


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


def silence(connection: Connection) -> None:
    connection.read()
    connection.wait_until_closed()


def reads_nothing(connection: Connection) -> None:
    connection.server.is_over.wait(2 * PATIENCE_SECONDS)


def assert_cut_at_its_deadline(outcome: Outcome) -> None:
    assert 0.95 * DEADLINE_MS < outcome.timings.total_us / 1000 < PATIENCE_SECONDS * 1000


@pytest.mark.parametrize(
    ("script", "body", "stage"),
    [
        (body_drip, b"{}", "the response began (status 200) but did not end"),
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
    outcome = send(sender, server.url, body=body, timeout_ms=DEADLINE_MS)
    assert outcome.kind is OutcomeClass.TIMEOUT
    assert outcome.detail == f"No complete response within 0.4 s: {stage}."
    assert_cut_at_its_deadline(outcome)


def test_a_tls_handshake_that_hangs_is_cut_at_the_deadline(sender: Sender, serve: Serve) -> None:
    server = serve(lambda connection: connection.wait_until_closed())
    outcome = send(sender, server.url.replace("http:", "https:"), timeout_ms=DEADLINE_MS)
    assert (outcome.kind, outcome.status) == (OutcomeClass.TIMEOUT, 0)
    assert "the TLS handshake was not finished" in outcome.detail
    assert_cut_at_its_deadline(outcome)


def test_a_name_that_is_never_answered_holds_up_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, never = serve(), threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: never.wait(120) and [])
    sender = new_sender()
    sender.start("waiting", Request("http://silent.test/", HEADERS, b"", 120_000))
    assert send(sender, server.url).is_success
    assert (sender.in_flight, sender.free) == (1, 499)
    outcome = send(sender, "http://silent.test/", timeout_ms=DEADLINE_MS)
    assert outcome.kind is OutcomeClass.TIMEOUT
    assert (
        outcome.detail == "No complete response within 0.4 s: the name servers of silent.test did not answer."
    )
    assert_cut_at_its_deadline(outcome)
    started_at = time.monotonic()
    sender.close()
    assert time.monotonic() - started_at < PATIENCE_SECONDS
    never.set()


# Large, broken, lying: lines 21 to 25


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


def floods_by_chunk_extension(connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;")
    while True:
        connection.send(b"a" * 65536)


def floods_at_once(connection: Connection) -> None:
    connection.read()
    floods_by_chunk_extension(connection)


def floods_on_second(connection: Connection) -> None:
    connection.read()
    connection.send(OK)
    floods_at_once(connection)


def test_endless_wrapping_without_content_is_cut_off_early(sender: Sender, serve: Serve) -> None:
    flooding, good, waiting = serve(floods_at_once), serve(), serve(silence)
    sender.start("waiting", Request(waiting.url, HEADERS, b"{}", 120_000))
    for key in range(3):
        sender.start(key, Request(flooding.url, HEADERS, b"{}", 120_000))
        sender.start(f"good {key}", Request(good.url, HEADERS, b"{}", 120_000))
    outcomes = collect(sender, 6)
    assert all(outcomes[f"good {key}"].is_success for key in range(3))
    for cut in (outcomes[key] for key in range(3)):
        assert (cut.kind, cut.status, cut.response_body) == ("invalid_response", 200, b"")
        assert cut.detail.startswith("Over 1 MiB came in that is neither a response's head nor its body")
        assert 0 < cut.timings.total_us < PATIENCE_SECONDS * 1_000_000
    wait_until(lambda: flooding.closed == 3)
    assert (sender.in_flight, flooding.accepted) == (1, 3)
    sender.abandon()


def test_endless_wrapping_on_a_kept_connection_is_cut_off_early(sender: Sender, serve: Serve) -> None:
    def floods_on_second(connection: Connection) -> None:
        connection.read()
        connection.send(OK)
        floods_at_once(connection)

    server = serve(floods_on_second)
    outcomes = [send(sender, server.url, timeout_ms=120_000) for _ in range(3)]
    assert [each.kind for each in outcomes] == ["success", "invalid_response", "success"]
    assert outcomes[1].timings.total_us < PATIENCE_SECONDS * 1_000_000
    assert server.accepted == 2


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="needs the kernel's count of bytes")
def test_a_tls_handshake_that_never_ends_holds_up_nobody(sender: Sender, serve: Serve) -> None:
    hello_requests = b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 2000  # a client skips them (RFC 5246, 7.4.1.1)

    def greets_for_ever(connection: Connection) -> None:
        connection.sock.recv(4096)
        while True:
            connection.send(hello_requests)

    flooding, good = serve(greets_for_ever), serve()
    sender.start("good", Request(good.url, HEADERS, b"{}", 120_000))
    sender.start("flood", Request(flooding.url.replace("http:", "https:"), HEADERS, b"{}", 120_000))
    outcomes = collect(sender, 2)
    assert all(each.timings.total_us < PATIENCE_SECONDS * 1_000_000 for each in outcomes.values())
    assert outcomes["good"].is_success
    assert outcomes["flood"].kind in ("tls", "invalid_response")


def test_many_small_pieces_are_no_flood(sender: Sender, serve: Serve) -> None:
    def dribble(connection: Connection) -> None:
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n")
        connection.drip(b"y" * 2000, every_seconds=0)

    assert send(sender, serve(dribble).url).response_body == b"y" * 2000


def test_a_flood_is_cut_off_where_the_kernel_does_not_count_bytes(
    sender: Sender, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "TCP_INFO", raising=False)
    monkeypatch.setattr(sockets, "FLOOD_READS", 8)
    outcome = send(sender, serve(floods_at_once).url, timeout_ms=120_000)
    assert outcome.kind == "invalid_response"
    assert outcome.timings.total_us < PATIENCE_SECONDS * 1_000_000


HUGE_HEADERS = b"".join(b"x-%d: %s\r\n" % (place, b"a" * 1000) for place in range(310))


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
            "Unsupported response code",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "invalid_response", 200, "malformed"),
        (b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", "invalid_response", 200, "malformed. (NUL byte in header)"),
        (
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "invalid_response",
            200,
            "malformed. (Header without colon)",
        ),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "invalid_response", 200, "chunk"),
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
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
            "connection_lost",
            200,
            "in the middle of its resp",
        ),
        (b"", "connection_lost", 0, "The server closed the connection without a response."),
    ],
)
def test_what_is_no_proper_response_is_a_failure_with_a_reason(
    sender: Sender, serve: Serve, response: bytes, kind: str, status: int, detail: str
) -> None:
    outcome = send(sender, serve(raw(response)).url)
    assert (outcome.kind, outcome.status) == (kind, status)
    assert detail in outcome.detail
    assert len(outcome.detail) <= 300
    assert outcome.detail.encode().decode().isprintable()
    assert len(outcome.response_headers) <= exchange.KEPT_HEADER_BYTES


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
    for _ in range(5):  # a reset that overtook the answer would discard it on our side of the socket
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


def test_a_reset_after_the_request_is_a_lost_connection(sender: Sender, serve: Serve) -> None:
    outcome = send(sender, serve(raw(b"", reset=True)).url)
    assert outcome.kind == "connection_lost"
    assert outcome.detail.startswith("The server ended the connection after the request was sent.")


def test_a_reset_within_a_body_of_known_length_is_a_lost_connection(sender: Sender, serve: Serve) -> None:
    def script(connection: Connection) -> None:
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
        time.sleep(0.05)
        connection.reset()

    assert send(sender, serve(script).url).kind == "connection_lost"


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
    assert outcome.response_headers.startswith(head)


# Where requests go: lines 8 to 13 and 16


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(sender: Sender, serve: Serve, status: int) -> None:
    goal = serve()
    head = f"HTTP/1.1 {status} Moved\r\nlocation: {goal.url}\r\ncontent-length: 0\r\n\r\n"
    outcome = send(sender, serve(answering(head.encode())).url)
    assert (outcome.kind, outcome.status, goal.accepted) == ("http_3xx", status, 0)


def test_proxies_and_netrc_of_the_environment_are_ignored(
    serve: Serve, system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy, server = serve(), serve()
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.authority}")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("default login someone password hidden\n")
    system["hooks.test"] = [["127.0.0.1"]]
    sender = new_sender()
    assert send(sender, server.url).is_success
    assert send(sender, server.url_for("hooks.test")).is_success
    assert send(sender, server.url.replace("http:", "https:"), timeout_ms=300).kind in ("tls", "timeout")
    sender.close()
    assert proxy.accepted == 0
    assert b"authorization" not in b"".join(server.requests).lower()


def test_a_401_gets_no_credentials(sender: Sender, serve: Serve) -> None:
    server = serve(
        answering(b"HTTP/1.1 401 No\r\nwww-authenticate: Basic realm=x\r\ncontent-length: 0\r\n\r\n")
    )
    assert (send(sender, server.url).kind, len(server.requests)) == ("http_4xx", 1)


@pytest.mark.parametrize(
    ("ip", "word"), [("127.0.0.1", "loopback"), ("::1", "loopback"), ("127.9.9.9", "loopback")]
)
def test_no_connection_is_made_to_a_forbidden_address(serve: Serve, ip: str, word: str) -> None:
    server = serve(ip=ip)
    sender = new_sender(TargetPolicy(allow_http=True))
    outcome = send(sender, server.url)
    sender.close()
    assert (outcome.kind, outcome.status, outcome.remote_address) == ("blocked", 0, "")
    assert word in outcome.detail
    time.sleep(0.02)
    assert server.accepted == 0


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("10.0.0.1", "private address"),
        ("169.254.169.254", "link-local"),
        ("100.100.100.200", "metadata"),
        ("[fd00:ec2::254]", "Amazon"),
        ("[fe80::1]", "link-local"),
        ("[::ffff:127.0.0.9]", "leads to 127.0.0.9"),
        ("[64:ff9b::7f00:9]", "leads to 127.0.0.9"),
        ("0.0.0.0", "this network"),
    ],
)
def test_other_forbidden_addresses_are_blocked_at_the_socket(sender: Sender, host: str, word: str) -> None:
    outcome = send(sender, f"http://{host}/")
    assert outcome.kind == "blocked"
    assert word in outcome.detail
    assert outcome.timings.connect_us == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.2"],
        ["127.0.0.1", "127.0.0.2"],
        ["127.0.0.2", "127.0.0.1"],
        ["::1", "127.0.0.2"],
        ["127.0.0.1", "fe80::1%lo"],
        ["127.0.0.1", "169.254.169.254"],
    ],
)
def test_one_forbidden_address_refuses_the_whole_name(
    sender: Sender, serve: Serve, system: System, addresses: list[str]
) -> None:
    good = serve()
    bad = serve(ip="127.0.0.2", port=good.port)
    system["hooks.test"] = [addresses]
    outcome = send(sender, good.url_for("hooks.test"))
    assert outcome.kind == "blocked"
    assert outcome.detail.startswith(f"hooks.test resolves to {', '.join(addresses)}. ")
    time.sleep(0.02)
    assert (good.accepted, bad.accepted) == (0, 0)


def test_a_name_that_turns_to_a_forbidden_address_is_blocked(
    sender: Sender, serve: Serve, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = serve()
    bad = serve(ip="127.0.0.2", port=good.port)
    system["hooks.test"] = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"]]
    assert send(sender, good.url_for("hooks.test")).is_success
    assert send(sender, good.url_for("hooks.test")).is_success  # the answer is remembered a while
    monkeypatch.setattr(resolver, "KEPT_SECONDS", 0.0)
    assert send(sender, good.url_for("hooks.test")).kind == "blocked"  # although a connection is open
    assert send(sender, good.url_for("hooks.test")).is_success
    assert (good.accepted, bad.accepted, len(good.requests)) == (1, 0, 3)


def test_permission_is_per_name_even_where_addresses_are_shared(
    sender: Sender, serve: Serve, system: System
) -> None:
    server = serve()
    system["good.test"], system["bad.test"] = [["127.0.0.1"]], [["127.0.0.1", "127.0.0.2"]]
    assert send(sender, server.url_for("good.test")).is_success
    assert send(sender, server.url_for("bad.test")).kind == "blocked"
    assert send(sender, server.url).is_success
    assert server.accepted == 2  # a connection is another host's, even at the same address


def test_libcurl_looks_up_nothing_itself(sender: Sender, serve: Serve) -> None:
    server = serve()
    started = Request(server.url_for("localhost"), HEADERS, b"", 1000)
    sender._send("key", started, Target("localhost", server.port, False, False))
    outcome = collect(sender, 1)["key"]
    assert (outcome.kind, server.accepted) == ("dns", 0)


def test_the_next_address_is_tried_when_one_does_not_connect(
    sender: Sender, serve: Serve, system: System
) -> None:
    server = serve()  # not on ::1
    system["hooks.test"] = [["::1", "127.0.0.1"]]
    outcome = send(sender, server.url_for("hooks.test"))
    assert (outcome.kind, outcome.remote_address) == ("success", "127.0.0.1")


def test_localhost_is_blocked(serve: Serve) -> None:
    server, sender = serve(), new_sender(TargetPolicy(allow_http=True))
    outcome = send(sender, server.url_for("localhost"))
    sender.close()
    assert (outcome.kind, server.accepted) == ("blocked", 0)


def test_the_own_listener_and_denied_ports_are_blocked(serve: Serve) -> None:
    server = serve()
    own = TargetPolicy(True, POLICY.allowed_networks, own_listeners=frozenset({("0.0.0.0", server.port)}))
    denied = TargetPolicy(True, POLICY.allowed_networks, denied_ports=frozenset({server.port}))
    for policy, words in ((own, "where this platform itself listens"), (denied, "is not open to deliveries")):
        sender = new_sender(policy)
        outcome = send(sender, server.url)
        sender.close()
        assert (outcome.kind, words in outcome.detail) == ("blocked", True)
    assert (send_once(POLICY, "http://127.0.0.1:22/").kind, server.accepted) == ("blocked", 0)


def test_http_is_blocked_unless_the_deployment_allows_it(serve: Serve) -> None:
    server = serve()
    outcome = send_once(TargetPolicy(allowed_networks=POLICY.allowed_networks), server.url)
    assert (outcome.kind, server.accepted) == ("blocked", 0)
    assert outcome.detail.startswith("Deliveries go to https only.")


def send_once(policy: TargetPolicy, url: str) -> Outcome:
    sender = new_sender(policy)
    outcome = send(sender, url)
    sender.close()
    return outcome


def test_a_name_that_does_not_exist_says_so(sender: Sender) -> None:
    outcome = send(sender, "http://no-such-name.invalid/", timeout_ms=10_000)
    assert outcome.kind in ("dns", "timeout")  # a timeout where name servers are out of reach
    assert "no-such-name.invalid" in outcome.detail


def test_the_longest_name_still_fits_the_detail(sender: Sender, system: System) -> None:
    name = ".".join(["a" * 61] * 4)
    system[name] = [["2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222:3333:4444:5555:6667"]]
    outcome = send(sender, f"http://{name}/")
    assert (outcome.kind, len(outcome.detail)) == ("blocked", 300)


def test_a_failed_lookup_is_asked_again(
    sender: Sender, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [socket.gaierror(socket.EAI_AGAIN, "try again"), socket.gaierror(socket.EAI_NONAME, "none")]
    ask = socket.getaddrinfo

    def getaddrinfo(*args: object, **options: object) -> object:
        if failures:
            raise failures.pop(0)
        return ask("127.0.0.1", None, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = serve().url_for("hooks.test")
    outcomes = [send(sender, url) for _ in range(3)]
    assert [each.kind for each in outcomes] == ["dns", "dns", "success"]
    assert "did not answer, or answered with a failure" in outcomes[0].detail
    assert outcomes[1].detail == "The name hooks.test does not exist."


def test_a_name_is_looked_up_once_for_all_that_wait(
    sender: Sender, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    may_answer = threading.Event()

    def getaddrinfo(host: object, *_args: object, **_options: object) -> object:
        asked.append(host)
        may_answer.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = serve().url_for("hooks.test")
    for key in range(100):
        sender.start(key, Request(url, HEADERS, b"{}", 30_000))
    time.sleep(0.05)
    may_answer.set()
    outcomes = collect(sender, 100)
    assert all(each.is_success for each in outcomes.values())
    assert asked == [b"hooks.test"]
    assert min(each.timings.dns_us for each in outcomes.values()) >= 40_000


def test_a_real_name_server_that_mixes_rebinds_and_swallows(tmp_path: Path) -> None:
    """Where the system lets us have a network and mounts of our own; the other tests stand without it."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    mounts = " && ".join(f"mount --bind {tmp_path}/{name} /etc/{name}" for name in os.listdir(tmp_path))
    answers = {
        "good.test": [["127.0.0.1"]],
        "mixed.test": [["127.0.0.1", "127.0.0.2"]],
        "turning.test": [["127.0.0.1"], ["127.0.0.2"]],
    }
    order = ["good.test", "mixed.test", "turning.test", "turning.test", "silent.test"]
    script = f'{mounts} && ip link set lo up && echo ready && exec {sys.executable} -m tests.hostile "$0"'
    if not shutil.which("unshare"):
        pytest.skip("unshare is missing")
    command = ["unshare", "-rmn", "sh", "-c", script, json.dumps([answers, order])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    if not done.stdout.startswith("ready"):
        pytest.skip(f"no namespaces here: {done.stderr.strip()[:200]}")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout.removeprefix("ready\n"))
    kinds = [told["kind"] for told in result["told"]]
    assert kinds == ["success", "blocked", "success", "blocked", "timeout"]
    assert "127.0.0.2 is a loopback address" in result["told"][1]["detail"]
    # The system's resolver would have waited ten seconds.
    assert 0.95 < result["told"][4]["seconds"] < 9
    assert (result["good"], result["bad"]) == (2, 0)
    assert result["closing_seconds"] < 7


# TLS: line 19


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def test_tls_works_with_a_private_ca_and_the_name_is_sent(
    serve: Serve, system: System, authority: Authority
) -> None:
    context, asked = authority.context("hooks.test"), []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server = serve(tls=context)
    system["hooks.test"] = [["127.0.0.1"]]
    sender = new_sender(ca_bundle=str(authority.path))
    outcome = send(sender, server.url_for("hooks.test"))
    again = send(sender, server.url_for("hooks.test"))
    sender.close()
    assert (outcome.kind, outcome.remote_address) == ("success", "127.0.0.1")
    done = outcome.timings
    assert 0 <= done.dns_us <= done.connect_us < done.tls_us < done.first_byte_us <= done.total_us
    assert (again.timings.connect_us, again.timings.tls_us) == (0, 0)
    assert 0 < again.timings.first_byte_us <= again.timings.total_us
    assert again.remote_address == "127.0.0.1"
    assert asked == ["hooks.test"]
    assert b"Host: hooks.test:%d\r\n" % server.port in server.requests[0]


@pytest.mark.parametrize(
    ("certificate", "bundled", "words"),
    [
        ({"names": ["hooks.test"], "self_signed": True}, True, "The certificate is self-signed."),
        ({"names": ["other.test"]}, True, "The certificate is not made out to hooks.test."),
        ({"names": ["hooks.test"], "days": -1}, True, "The certificate has expired."),
        ({"names": ["hooks.test"]}, False, "The certificate's issuer is not known"),
    ],
)
def test_tls_is_always_verified(
    serve: Serve,
    system: System,
    authority: Authority,
    certificate: dict[str, object],
    bundled: bool,
    words: str,
) -> None:
    options = dict(certificate)
    server = serve(tls=authority.context(*options.pop("names"), **options))
    system["hooks.test"] = [["127.0.0.1"]]
    sender = new_sender(ca_bundle=str(authority.path) if bundled else None)
    outcome = send(sender, server.url_for("hooks.test"))
    sender.close()
    assert (outcome.kind, outcome.status) == ("tls", 0)
    assert outcome.detail.startswith(words)
    assert server.requests == []


def test_a_port_without_tls_says_so(sender: Sender, serve: Serve) -> None:
    def plain(connection: Connection) -> None:
        connection.sock.recv(1000)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    outcome = send(sender, serve(plain).url.replace("http:", "https:"))
    assert (outcome.kind, outcome.detail.split(" (")[0]) == ("tls", "The port does not speak TLS.")


def test_a_connection_closed_within_the_handshake_says_so(sender: Sender, serve: Serve) -> None:
    outcome = send(sender, serve(lambda connection: None).url.replace("http:", "https:"))
    assert (outcome.kind, "ended the connection during the TLS handshake" in outcome.detail) == ("tls", True)


# What goes over the wire


@pytest.mark.parametrize("path", ["/a/../b/./c//d?x=/../y&z=%2e%2e", "/%7Euser/%2F/..", "/?a[]=1&b={}"])
def test_the_path_goes_out_as_typed(sender: Sender, serve: Serve, path: str) -> None:
    server = serve()
    assert send(sender, f"http://{server.authority}{path}").is_success
    assert server.requests[0].startswith(f"POST {path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_the_request_holds_what_was_given_and_a_host(sender: Sender, serve: Serve, ip: str) -> None:
    server = serve(ip=ip)
    outcome = send(sender, server.url, body=b"\x00\xff{}")
    assert (outcome.kind, outcome.remote_address) == ("success", ip)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert sorted(head.split(b"\r\n")) == sorted(
        [
            b"POST /hooks HTTP/1.1",
            b"Host: " + server.authority.encode(),
            b"content-type: application/json",
            b"user-agent: Test",
            b"Content-Length: 4",
        ]
    )
    assert body == b"\x00\xff{}"


def test_header_values_never_show_in_details(sender: Sender, serve: Serve) -> None:
    for response in (b"", b"junk\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"):
        outcome = send(sender, serve(raw(response)).url, headers=[*HEADERS, "x-key: s3cret"])
        assert "s3cret" not in outcome.detail


def test_timings_of_plain_http(sender: Sender, serve: Serve) -> None:
    def slow(connection: Connection) -> None:
        while connection.read():
            time.sleep(0.1)
            connection.send(OK[:-1])
            time.sleep(0.1)
            connection.send(OK[-1:])

    server = serve(slow)
    first, second = (send(sender, server.url).timings for _ in range(2))
    assert first.connect_us > 0
    assert first.tls_us == 0
    for each in (first, second):  # each is counted from the start
        assert each.connect_us + 90_000 < each.first_byte_us < each.total_us - 90_000
        assert each.total_us < PATIENCE_SECONDS * 1_000_000
    assert (second.dns_us, second.connect_us, server.accepted) == (0, 0, 1)


# The sender


def test_connections_are_kept_and_bounded(sender: Sender, serve: Serve) -> None:
    server = serve()
    for turn in range(3):
        for key in range(300):
            sender.start((turn, key), Request(server.url, HEADERS, b"{}", 60_000))
        assert all(each.is_success for each in collect(sender, 300).values())
    assert len(server.requests) == 900
    assert server.accepted <= CONNECTIONS_PER_HOST


def test_what_lies_idle_keeps_neither_request_nor_answer(sender: Sender, serve: Serve) -> None:
    request = Request(serve().url, HEADERS, bytes(256 * 1024), 5000)
    before = sys.getrefcount(request), sys.getrefcount(request.body)
    sender.start("key", request)
    assert collect(sender, 1)["key"].is_success
    assert (sys.getrefcount(request), sys.getrefcount(request.body)) == before
    [(_, idle)] = sender._idle
    assert not hasattr(idle, "body") and not hasattr(idle, "headers")
    assert send(sender, request.url).is_success


def test_what_finds_no_free_connection_says_so(sender: Sender, serve: Serve) -> None:
    server = serve(silence)
    for key in range(CONNECTIONS_PER_HOST):
        sender.start(key, Request(server.url, HEADERS, b"{}", 60_000))
    outcome = send(sender, server.url, timeout_ms=200)
    assert outcome.kind == "timeout"
    assert "no connection to the server became free" in outcome.detail
    wait_until(lambda: server.accepted >= CONNECTIONS_PER_HOST)
    assert server.accepted == CONNECTIONS_PER_HOST
    sender.abandon()


def test_a_kept_connection_that_was_closed_is_replaced_unseen(sender: Sender, serve: Serve) -> None:
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
def test_what_comes_unasked_on_a_kept_connection_answers_nothing(
    serve: Serve, system: System, authority: Authority, unasked: bytes, is_tls: bool, pause: float
) -> None:
    answered, told = threading.Semaphore(0), threading.Semaphore(0)

    def tells_more(connection: Connection) -> None:
        connection.read()
        connection.send(OK)
        if is_tls:  # what is read together with the answer stays in the TLS layer, where nobody sees it
            answered.acquire(timeout=30)
        time.sleep(pause)
        connection.send(unasked)
        told.release()
        while connection.read():
            connection.send(OK)

    server = serve(tells_more, tls=authority.context("hooks.test") if is_tls else None)
    system["hooks.test"] = [["127.0.0.1"]]
    sender = new_sender(ca_bundle=str(authority.path))
    for count in range(1, 4):
        outcome = send(sender, server.url_for("hooks.test"))
        answered.release()
        assert (outcome.kind, outcome.response_body) == ("success", b"ok")
        assert outcome.timings.connect_us > 0
        assert told.acquire(timeout=30)
        assert (server.accepted, len(server.requests)) == (count, count)
    sender.close()


def test_the_connection_of_a_request_that_started_afresh_is_kept(sender: Sender, serve: Serve) -> None:
    told = threading.Event()

    def tells_more(connection: Connection) -> None:
        is_first = server.accepted == 1
        while connection.read():
            connection.send(OK)
            if is_first:
                time.sleep(0.02)
                connection.send(REQUEST_TIMEOUT)
                told.set()

    server = serve(tells_more)
    assert send(sender, server.url).is_success
    assert told.wait(30)
    assert [send(sender, server.url).kind for _ in range(3)] == ["success"] * 3
    assert (server.accepted, len(server.requests)) == (2, 4)


def test_a_kept_connection_that_breaks_under_a_request_is_tried_once_more(
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


def test_descriptors_beyond_1024_work(sender: Sender, serve: Serve) -> None:
    server = serve()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1300:
        pytest.skip("the hard limit of descriptors is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1300) if soft > 0 else soft, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    assert send(sender, server.url).is_success
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_running_out_of_descriptors_is_a_failure_not_a_crash(sender: Sender, serve: Serve) -> None:
    server = serve()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The first ones are taken: what an earlier test left behind, and ends just now, sets none of these free.
    held = [os.open(os.devnull, os.O_RDONLY)]
    while held[-1] < 16:
        held.append(os.dup(held[0]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, hard))
    try:
        outcome = send(sender, server.url)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)
    assert outcome.kind == "platform"
    assert outcome.detail == f"This platform could not open a socket: {os.strerror(errno.EMFILE)}."
    assert send(sender, server.url).is_success


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_abandon_and_close_leave_nothing_open(
    serve: Serve, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, hanging = serve(), serve(silence)
    system["hooks.test"] = [["127.0.0.1"]]
    gc.collect()
    before = open_descriptors()
    sender = new_sender()
    assert send(sender, server.url_for("hooks.test")).is_success
    for key in range(50):
        sender.start(key, Request(hanging.url, HEADERS, b"{}", 60_000))
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: never.wait(10) and [])
    sender.start("waiting", Request("http://silent.test/", HEADERS, b"{}", 60_000))
    wait_until(lambda: sender.poll(10) == [] and len(hanging.requests) == 50)
    sender.abandon()
    assert (sender.in_flight, sender.free) == (0, 500)
    wait_until(lambda: hanging.closed == 50)
    assert send(sender, server.url).is_success  # and can be used again
    sender.close()
    wait_until(lambda: not server.open)
    wait_until(lambda: open_descriptors() <= before)
    never.set()


def test_waiting_costs_no_processor_time(sender: Sender, serve: Serve) -> None:
    server, hanging = serve(), serve(silence)
    assert send(sender, server.url).is_success  # leaves an idle connection, which its server then closes
    sender.start("hanging", Request(hanging.url, HEADERS, b"{}", 60_000))
    wait_until(lambda: sender.poll(10) == [] and hanging.requests)
    for sock in list(server.open):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    spent, until = time.thread_time(), time.monotonic() + 0.5
    rounds = 0
    while time.monotonic() < until:
        assert sender.poll(50) == []
        rounds += 1
    assert time.thread_time() - spent < 0.1
    assert rounds < 100


def test_a_sender_with_nothing_to_do_returns_at_once(sender: Sender) -> None:
    started_at = time.monotonic()
    assert sender.poll(2000 * PATIENCE_SECONDS) == []
    assert time.monotonic() - started_at < PATIENCE_SECONDS


def test_our_numbers_are_libcurls() -> None:
    assert (pycurl.POLL_IN, pycurl.POLL_OUT, pycurl.POLL_INOUT) == (READ, WRITE, READ | WRITE)
    assert (pycurl.CSELECT_IN, pycurl.CSELECT_OUT) == (READ, WRITE)
    missing = {"HTTP2_STREAM", "TOO_LARGE", "BAD_CONTENT_ENCODING", "WEIRD_SERVER_REPLY"}
    for code in CurlCode:
        assert code.name in missing or getattr(pycurl, f"E_{code.name}") == code
    assert (pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_FTP_WEIRD_SERVER_REPLY) == (61, 8)


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.005)
