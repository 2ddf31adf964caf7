"""Hold requests until their names are looked up."""

import socket
import threading
import time

import pytest

from tests.transport.scripted_server import Serve
from tests.transport.sending import HEADERS, collect, send
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender


def test_a_name_that_does_not_exist_says_so(sender: Sender) -> None:
    outcome = send(sender, "http://no-such-name.invalid/", timeout_ms=10_000)
    assert outcome.kind in ("dns", "timeout")  # a timeout where name servers are out of reach
    assert "no-such-name.invalid" in outcome.detail


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
