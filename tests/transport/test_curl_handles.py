"""Send exactly what was given, to nowhere else, over verified TLS, and time it."""

import ctypes
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.transport.certificates import Authority
from tests.transport.scripted_server import OK, Connection, Serve, answering
from tests.transport.sending import (
    HEADERS,
    PATIENCE_SECONDS,
    POLICY,
    DnsAnswers,
    collect,
    new_sender,
    send,
    send_once,
)
from webhooks_app.core.outcomes import Timings
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolved_target import Target
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.sender_limits import ConnectionLimits
from webhooks_app.transport.target_policy import TargetPolicy


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(sender: Sender, serve: Serve, status: int) -> None:
    goal = serve()
    head = f"HTTP/1.1 {status} Moved\r\nlocation: {goal.url}\r\ncontent-length: 0\r\n\r\n"
    outcome = send(sender, serve(answering(head.encode())).url)
    assert (outcome.kind, outcome.status, goal.accepted) == ("http_3xx", status, 0)


def test_proxies_and_netrc_of_the_environment_are_ignored(
    serve: Serve, dns_answers: DnsAnswers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy, server = serve(), serve()
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.authority}")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("default login someone password hidden\n")
    dns_answers["hooks.test"] = [["127.0.0.1"]]
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


def test_http_is_blocked_unless_the_deployment_allows_it(serve: Serve) -> None:
    server = serve()
    outcome = send_once(TargetPolicy(allowed_networks=POLICY.allowed_networks), server.url)
    assert (outcome.kind, server.accepted) == ("blocked", 0)
    assert outcome.detail.startswith("Deliveries go to https only.")


def test_libcurl_looks_up_nothing_itself(sender: Sender, serve: Serve) -> None:
    server = serve()
    started = Request(server.url_for("localhost"), HEADERS, b"", 60_000)
    sender._transfers.start("key", started, Target("localhost", server.port, False, False))
    outcome = collect(sender, 1)["key"]
    assert (outcome.kind, server.accepted) == ("dns", 0)


def test_tls_works_with_a_private_ca_and_the_name_is_sent(
    serve: Serve, dns_answers: DnsAnswers, authority: Authority
) -> None:
    context, asked = authority.context("hooks.test"), []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server = serve(tls=context)
    dns_answers["hooks.test"] = [["127.0.0.1"]]
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


def test_a_bundle_of_authorities_may_be_in_a_folder_of_any_name(
    authority: Authority, serve: Serve, dns_answers: DnsAnswers, tmp_path: Path
) -> None:
    bundle = tmp_path / "zertifikate für ?%20" / "ca.pem"
    bundle.parent.mkdir()
    bundle.write_bytes(authority.path.read_bytes())
    server = serve(tls=authority.context("hooks.test"))
    dns_answers["hooks.test"] = [["127.0.0.1"]]
    sender = new_sender(ca_bundle=str(bundle))
    outcome = send(sender, server.url_for("hooks.test"))
    sender.close()
    assert outcome.kind == "success"


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
    dns_answers: DnsAnswers,
    authority: Authority,
    certificate: dict[str, Any],
    bundled: bool,
    words: str,
) -> None:
    options = dict(certificate)
    server = serve(tls=authority.context(*options.pop("names"), **options))
    dns_answers["hooks.test"] = [["127.0.0.1"]]
    sender = new_sender(ca_bundle=str(authority.path) if bundled else None)
    outcome = send(sender, server.url_for("hooks.test"))
    sender.close()
    assert (outcome.kind, outcome.status) == ("tls", 0)
    assert outcome.detail.startswith(words)
    assert server.requests == []


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


def test_timings_of_plain_http(serve: Serve) -> None:
    def slow(connection: Connection) -> None:
        while connection.read():
            time.sleep(0.3)
            connection.send(OK[:-1])
            time.sleep(0.3)
            connection.send(OK[-1:])

    server = serve(slow)

    def timings_of_two() -> list[Timings]:
        sender = new_sender()
        found = [send(sender, server.url).timings for _ in range(2)]
        sender.close()
        return found

    for _ in range(5):
        first, second = timings_of_two()
        if all(each.first_byte_us < each.total_us - 100_000 for each in (first, second)):
            break  # otherwise this process stood still between the two
    assert first.connect_us > 0
    assert first.tls_us == 0
    for each in (first, second):  # each is counted from the start
        assert each.connect_us + 290_000 < each.first_byte_us < each.total_us - 100_000
        assert each.total_us > 590_000
        assert each.total_us < PATIENCE_SECONDS * 1_000_000
    assert (second.dns_us, second.connect_us, len(server.requests)) == (0, 0, 2 * server.accepted)


def test_connections_are_reused_and_bounded(sender: Sender, serve: Serve) -> None:
    server = serve()
    for turn in range(3):
        for key in range(300):
            sender.start((turn, key), Request(server.url, HEADERS, b"{}", 60_000))
        assert all(each.is_success for each in collect(sender, 300).values())
    assert len(server.requests) == 900
    assert server.accepted <= ConnectionLimits().per_host


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc, which tells what is allocated")
def test_a_handle_that_lies_idle_keeps_little(sender: Sender, serve: Serve) -> None:
    may_answer = threading.Event()

    def answer_later(connection: Connection) -> None:
        while connection.read():
            may_answer.wait(PATIENCE_SECONDS)
            connection.send(OK)

    server = serve(answer_later)
    before = allocated_bytes()
    for key in range(100):
        sender.start(key, Request(server.url, HEADERS, b"{}", 60_000))
    while len(server.requests) < 100:
        sender.poll(20)
    may_answer.set()
    collect(sender, 100)
    assert allocated_bytes() - before < 100 * 40 * 1024


def allocated_bytes() -> int:
    """Return what libraries and Python's larger objects take of the C heap, as mallinfo(3) tells."""

    class Mallinfo(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_size_t) for name in FIELDS)

    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Mallinfo
    return int(mallinfo().uordblks)


FIELDS = (
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keepcost",
)
