"""Open no socket to a forbidden address.

Of loopback, 127.0.0.1 and ::1 stand for public addresses here, and the rest for forbidden ones.
"""

import errno
import os
import time

import pytest

from tests.open_files import few_open_files
from tests.transport.scripted_server import Serve
from tests.transport.sending import POLICY, new_sender, send, send_once
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.target_policy import TargetPolicy


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
