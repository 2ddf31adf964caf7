"""Tell our own shortages from what a server or its network fails in."""

import errno
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.open_files import few_open_files
from tests.transport.certificates import Authority
from tests.transport.scripted_server import OK, Serve, answering
from tests.transport.sending import DnsAnswers, new_sender, send
from webhooks_app.config import ROOT
from webhooks_app.core.outcomes import OutcomeClass, Timings
from webhooks_app.transport.curl_errors import CurlCode, FailureContext, explain
from webhooks_app.transport.own_shortages import descriptor_shortage, is_out_of_ports
from webhooks_app.transport.sender import Sender


def test_a_missing_descriptor_shows() -> None:
    assert descriptor_shortage() == 0
    with few_open_files(0):
        assert descriptor_shortage() == errno.EMFILE


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL]
)
def test_a_connection_that_we_lack_the_means_for_is_our_own_failure(number: int) -> None:
    assert explain(CurlCode.COULDNT_CONNECT, "", failing_with(number))[0] is OutcomeClass.PLATFORM


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ENETUNREACH, errno.ETIMEDOUT, 0])
def test_a_connection_that_the_network_or_the_server_refuses_is_not(number: int) -> None:
    assert explain(CurlCode.COULDNT_CONNECT, "", failing_with(number))[0] is OutcomeClass.CONNECT


def failing_with(os_error: int) -> FailureContext:
    return FailureContext("hooks.test", 443, True, 5000, True, True, 0, os_error, Timings())


def test_a_file_of_authorities_that_cannot_be_read_is_our_own_failure(
    serve: Serve, authority: Authority, dns_answers: DnsAnswers, tmp_path: Path
) -> None:
    server = serve(answering(OK), tls=authority.context("hooks.test"))
    dns_answers["hooks.test"] = [["127.0.0.1"]]
    sender = new_sender(ca_bundle=str(tmp_path / "missing.pem"))
    outcome = send(sender, server.url_for("hooks.test"))
    sender.close()
    assert (outcome.kind, server.requests) == (OutcomeClass.PLATFORM, [])


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENOBUFS, "No buffer space available"),
        socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"),
    ],
    ids=repr,
)
def test_a_look_up_that_we_lack_the_means_for_is_our_own_failure(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def lacks_means(*_args: object, **_options: object) -> object:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", lacks_means)
    assert send(sender, "http://hooks.test/").kind is OutcomeClass.PLATFORM


@pytest.mark.parametrize("reason", [socket.EAI_AGAIN, socket.EAI_NONAME])
def test_a_resolver_that_has_no_descriptor_left_tells_nothing_of_the_name(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def finds_nothing(*_args: object, **_options: object) -> object:
        raise socket.gaierror(reason, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", finds_nothing)
    assert send(sender, "http://hooks.test/").kind is OutcomeClass.DNS
    with few_open_files(0):
        assert send(sender, "http://other.test/").kind is OutcomeClass.PLATFORM


_PORTS_USED_UP = """
import json, socket, sys
from tests.transport.scripted_server import OK, Server, answering
from tests.transport.sending import new_sender, send
with Server(answering(OK), port=80) as server:
    taken = []
    try:
        while True:
            taken.append(socket.create_connection(("127.0.0.1", 80)))
    except OSError:
        pass
    sender = new_sender()
    outcomes = [send(sender, "http://127.0.0.1/"), send(sender, "http://[2001:db8::1]:8000/")]
    taken.pop().close()
    sender.close()
    for each in taken:
        each.close()
print(json.dumps([[each.kind, each.detail] for each in outcomes]))
"""


def test_ports_that_are_used_up_are_our_own_failure() -> None:
    if not shutil.which("unshare"):
        pytest.skip("unshare is missing")
    setup = 'ip link set lo up && echo "40000 40020" > /proc/sys/net/ipv4/ip_local_port_range && echo ready'
    command = ["unshare", "-rn", "sh", "-c", f'{setup} && exec {sys.executable} -c "$0"', _PORTS_USED_UP]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    if not done.stdout.startswith("ready"):
        pytest.skip(f"no namespaces here: {done.stderr.strip()[:200]}")
    assert (done.returncode, done.stderr) == (0, "")
    [(kind, detail), (other_kind, _)] = json.loads(done.stdout.removeprefix("ready\n"))
    assert (kind, detail.split(" (")[0]) == (
        "platform",
        "This platform could not open a connection: "
        "no port of its own is left for connections to that address.",
    )
    assert other_kind in ("connect", "blocked")


def test_an_address_that_no_route_leads_to_uses_up_no_ports() -> None:
    assert is_out_of_ports("127.0.0.1")
    assert not is_out_of_ports("255.255.255.255")
