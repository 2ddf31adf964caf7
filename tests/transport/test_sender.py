"""Start, poll, abandon and close."""

import gc
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.transport.scripted_server import Serve, silence
from tests.transport.sending import (
    HEADERS,
    PATIENCE_SECONDS,
    DnsAnswers,
    assert_cut_at_its_deadline,
    new_sender,
    send,
    wait_until,
    with_deadline,
)
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender


def test_a_name_that_is_never_answered_holds_up_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, never = serve(), threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: never.wait(120) and [])
    sender = new_sender()
    sender.start("waiting", Request("http://silent.test/", HEADERS, b"", 120_000))
    assert send(sender, server.url).is_success
    assert (sender.in_flight, sender.free) == (1, 499)
    stage = "the name servers of silent.test did not answer"
    outcome, deadline_ms = with_deadline(
        lambda timeout_ms: send(sender, "http://silent.test/", timeout_ms=timeout_ms), stage
    )
    assert outcome.kind is OutcomeClass.TIMEOUT
    assert outcome.detail == f"No complete response within {deadline_ms / 1000:g} s: {stage}."
    assert_cut_at_its_deadline(outcome, deadline_ms)
    started_at = time.monotonic()
    sender.close()
    assert time.monotonic() - started_at < PATIENCE_SECONDS
    never.set()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_abandon_and_close_leave_nothing_open(
    serve: Serve, dns_answers: DnsAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, hanging = serve(), serve(silence)
    dns_answers["hooks.test"] = [["127.0.0.1"]]
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


def test_a_sender_with_nothing_to_do_returns_at_once(sender: Sender) -> None:
    started_at = time.monotonic()
    assert sender.poll(2000 * PATIENCE_SECONDS) == []
    assert time.monotonic() - started_at < PATIENCE_SECONDS
