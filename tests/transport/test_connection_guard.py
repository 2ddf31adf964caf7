"""Open no socket to a forbidden address.

Of loopback, 127.0.0.1 and ::1 stand for public addresses here, and the rest for forbidden ones.
"""

import errno
import os
import resource
import time

import pytest

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
