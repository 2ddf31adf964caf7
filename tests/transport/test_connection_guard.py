"""Open no socket to a forbidden address.

Of loopback, 127.0.0.1 and ::1 stand for public addresses here, and the rest for forbidden ones.
"""

import errno
import os
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

import pycurl
import pytest

from tests.open_files import few_open_files
from tests.transport.scripted_server import Serve
from tests.transport.sending import HEADERS, POLICY, new_sender, send, send_once
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.connection_guard import RECEIVE_BUFFER_BYTES, ConnectionGuard, NewSocket
from webhooks_app.transport.exchange import Exchange
from webhooks_app.transport.idle_connections import IdleConnections
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolved_target import target_of
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.sender_limits import FloodLimits
from webhooks_app.transport.target_policy import TargetPolicy
from webhooks_app.transport.watched_sockets import WatchedSockets


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


@pytest.mark.parametrize("free", [0, 1], ids=["none is left", "one is left, where two are needed"])
def test_running_out_of_descriptors_is_our_own_failure(sender: Sender, serve: Serve, free: int) -> None:
    server = serve()
    with few_open_files(free):
        outcome = send(sender, server.url)
    assert outcome.kind == "platform"
    assert outcome.detail == f"This platform could not open a socket: {os.strerror(errno.EMFILE)}."
    assert send(sender, server.url).is_success


class SocketAddress(NamedTuple):
    """What pycurl hands over of a socket that libcurl wants."""

    addr: tuple[str, int]
    family: int = socket.AF_INET
    socktype: int = socket.SOCK_STREAM
    protocol: int = 0


@pytest.fixture
def guard() -> Iterator[ConnectionGuard]:
    sockets = WatchedSockets(FloodLimits())
    yield ConnectionGuard(POLICY, sockets, IdleConnections())
    sockets.close()


@pytest.fixture
def exchange() -> Exchange:
    url = "http://hooks.test:9000/"
    made = Exchange()
    made.start("key", Request(url, HEADERS, b"{}", 1000), target_of(url), 0)
    return made


def test_libcurl_gets_a_socket_for_an_allowed_address_only(
    guard: ConnectionGuard, exchange: Exchange
) -> None:
    allowed, forbidden = SocketAddress(("127.0.0.1", 9000)), SocketAddress(("127.0.0.2", 9000))
    assert guard.open_socket(exchange, 0, allowed).fileno() >= 0
    assert guard.open_socket(exchange, 0, forbidden) == pycurl.SOCKET_BAD
    assert exchange.refusal and exchange.refusal[0] is OutcomeClass.BLOCKED


def test_libcurl_gets_no_socket_that_the_system_refuses(guard: ConnectionGuard, exchange: Exchange) -> None:
    impossible = SocketAddress(("127.0.0.1", 9000), socktype=12345)
    assert guard.open_socket(exchange, 0, impossible) == pycurl.SOCKET_BAD
    assert exchange.refusal and exchange.refusal[0] is OutcomeClass.PLATFORM


def test_a_request_uses_one_idle_connection_at_most(guard: ConnectionGuard, exchange: Exchange) -> None:
    ends = ("127.0.0.1", "127.0.0.1", 9000, 40_000)
    assert guard.check_connection(exchange, *ends) == pycurl.PREREQFUNC_OK
    assert not exchange.needs_new_connection
    assert guard.check_connection(exchange, *ends) == pycurl.PREREQFUNC_ABORT
    assert exchange.needs_new_connection


def test_a_socket_reads_little_in_one_go() -> None:
    # Of UDP, as Linux gives those of TCP no more to begin with, and as it likes later.
    opened = NewSocket(socket.AF_INET, socket.SOCK_DGRAM, 0)
    with socket.socket(fileno=os.dup(opened.fileno())) as same:
        size = same.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert size in (RECEIVE_BUFFER_BYTES, 2 * RECEIVE_BUFFER_BYTES)  # Linux counts its bookkeeping in
