"""Handing a delivery on to a server on this machine."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.free_ports import free_port
from tests.receivers import Answer, Receiver, answer_after
from webhooks_app.cli import forwarding, option_types
from webhooks_app.cli.forwarding import Forwarded, ForwardTarget, forward
from webhooks_app.cli.listen import default_name

HEADERS = [("content-type", "application/json"), ("webhook-id", "dlv_1"), ("user-agent", "Avra-Webhooks/1.0")]
BODY = json.dumps({"data": "é 日本"}, ensure_ascii=False).encode()


@pytest.fixture
def server() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_it_arrives_as_a_worker_would_send_it(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # which is for the platform's side
    server.answer = Answer(201, b"made", {"X-Trace": "7"})
    target = ForwardTarget(f"http://127.0.0.1:{server.port}/hooks?a=b%20c", [("X-Own", "1")])
    result = forward(target, HEADERS, BODY, timeout_seconds=60)
    [got] = server.received
    assert (got.method, got.path, got.body) == ("POST", "/hooks?a=b%20c", BODY)
    assert got.headers == {
        "host": f"127.0.0.1:{server.port}",
        "content-length": str(len(BODY)),
        "x-own": "1",
        **dict(HEADERS),
    }
    assert (result.status, result.body, result.failure) == (201, b"made", None)
    assert ("X-Trace", "7") in result.headers
    assert 0 < result.first_byte_us <= result.total_us


def test_a_redirect_is_an_answer(server: Receiver) -> None:
    server.answer = Answer(302, b"", {"Location": f"http://127.0.0.1:{server.port}/other"})
    assert (
        forward(ForwardTarget(f"http://127.0.0.1:{server.port}/"), HEADERS, BODY, timeout_seconds=60).status
        == 302
    )
    assert len(server.received) == 1


def test_of_a_large_answer_the_beginning_is_kept(server: Receiver) -> None:
    server.answer = Answer(200, b"x" * 100_000)
    result = forward(ForwardTarget(f"http://127.0.0.1:{server.port}/"), HEADERS, BODY, timeout_seconds=60)
    assert (len(result.body), result.is_truncated) == (forwarding.KEPT_BYTES, True)


def test_a_server_that_says_nothing_is_left_after_its_time(server: Receiver) -> None:
    silence = threading.Event()
    server.answer = answer_after(silence)
    result = forward(ForwardTarget(f"http://127.0.0.1:{server.port}/"), HEADERS, BODY, timeout_seconds=0.2)
    silence.set()
    assert (result.status, result.failure) == (None, "timeout")
    assert "within 0.2 s" in result.detail


@contextmanager
def saying(*pieces: bytes, each_seconds: float = 0.0) -> Iterator[ForwardTarget]:
    """A server that says these one after the other, whatever it is asked; the last until it is hung up on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client, suppress(OSError):
                client.recv(65536)
                for piece in pieces:
                    client.sendall(piece)
                while each_seconds:
                    client.sendall(pieces[-1])
                    time.sleep(each_seconds)
                client.shutdown(socket.SHUT_WR)
                client.recv(65536)

        thread = threading.Thread(target=answer)
        thread.start()
        yield ForwardTarget(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join(60)


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (b"", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\n", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nX-Own: 1", "connection_lost"),
        (b"nonsense\r\n\r\n", "invalid_response"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Own: 1\r\n" * 200 + b"\r\n", "invalid_response"),
    ],
)
def test_what_is_no_answer_is_named(said: bytes, failure: str) -> None:
    with saying(said) as target:
        assert forward(target, HEADERS, BODY, timeout_seconds=60).failure == failure


@pytest.mark.parametrize("head", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Own: x"])
def test_a_head_that_never_ends_is_left_after_its_time(head: bytes) -> None:
    last = head if head.endswith(b"\n") else b"x"
    with saying(head, last, each_seconds=0.02) as target:
        result = forward(target, HEADERS, BODY, timeout_seconds=0.3)
    assert (result.status, result.failure) == (None, "timeout")


def forward_from(head: bytes, piece: bytes, *, least: bytes = b"") -> Forwarded:
    """Forward to a server that never ends, for as short as leaves it time for its head and that much."""
    for timeout_seconds in (0.3, 3, 30, 100):
        with saying(head, piece, each_seconds=0.02) as target:
            result = forward(target, HEADERS, BODY, timeout_seconds=timeout_seconds)
        if result.status is not None and result.body.startswith(least):
            break
    return result


@pytest.mark.parametrize("version", ["1.1", "1.0"])  # the first goes on by the same connection
def test_a_body_that_never_ends_leaves_what_came_of_it(version: str) -> None:
    result = forward_from(f"HTTP/{version} 200 OK\r\n\r\n".encode(), b"x", least=b"xx")
    assert result.status == 200
    assert result.body.startswith(b"xx")


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("head", [CHUNKS + b"\r\n1;", CHUNKS + b"Connection: close\r\n\r\n1;"])
def test_a_body_whose_first_piece_never_begins_is_left_after_its_time(head: bytes) -> None:
    began = time.monotonic()
    result = forward_from(head, b"x")
    assert (result.status, result.body) == (200, b"")
    assert time.monotonic() - began < 600  # its end is at 65,536 bytes, after twenty minutes


def test_a_report_has_no_more_headers_than_the_platform_takes(server: Receiver) -> None:
    server.answer = Answer(200, b"x" * 20_000, {f"X-{n}": "\xe4" * 2000 for n in range(40)})
    report = forward(
        ForwardTarget(f"http://127.0.0.1:{server.port}/"), HEADERS, BODY, timeout_seconds=60
    ).as_report()
    assert len(json.dumps(report)) < 60_000
    assert ["X-0", "\xe4" * 2000] in report["response_headers"]


def test_where_nobody_listens_that_is_said() -> None:
    result = forward(ForwardTarget(f"http://127.0.0.1:{free_port()}/"), HEADERS, BODY, timeout_seconds=60)
    assert result.failure == "connect"
    assert "Connection refused" in result.detail
    unknown = forward(ForwardTarget("http://no-such-host.invalid/"), HEADERS, BODY, timeout_seconds=60)
    assert unknown.failure == "dns"
    plain = forward(ForwardTarget("https://127.0.0.1:9/"), HEADERS, BODY, timeout_seconds=60)
    assert plain.failure == "connect"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("3000", "http://localhost:3000/"),
        ("localhost:3000/hooks", "http://localhost:3000/hooks"),
        ("https://app.test/a?b=c", "https://app.test/a?b=c"),
        ("http://localhost:3000/häken/?a=ü&b=%20", "http://localhost:3000/h%C3%A4ken/?a=%C3%BC&b=%20"),
    ],
)
def test_a_short_target_stands_for_a_url(given: str, url: str) -> None:
    assert forwarding.normalise(given) == url


@pytest.mark.parametrize("given", ["ftp://a/", "http://", "http://a/#b", "http://a b/", "http://a:99999/"])
def test_what_is_no_target_is_refused(given: str) -> None:
    with pytest.raises(ValueError):
        forwarding.normalise(given)


def test_a_time_has_a_unit() -> None:
    convert = option_types.Duration().convert
    assert [convert(each, None, None) for each in ("90s", "30m", "2h", "7d")] == [90, 1800, 7200, 604_800]
    for wrong in ("2", "0h", "2 h", "-1h", "1w"):
        with pytest.raises(Exception, match="Give a time"):
            convert(wrong, None, None)


@pytest.mark.parametrize(
    ("host", "name"), [("Annas-MacBook.local", "annas-macbook"), ("host_7", "host-7"), ("日本", "listener")]
)
def test_a_machine_has_a_name(host: str, name: str) -> None:
    assert default_name(host) == name
