"""What this platform had no means left to send: nothing is blamed, nothing is counted, it is sent soon."""

import errno
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import MakeEngine, Workspace
from tests.receivers import Receiver
from tests.worker.attempted import attempts, deliveries, queued
from webhooks_app.db.models import DeliveryState, EndpointHealth
from webhooks_app.extensions import db
from webhooks_app.worker.engine_limits import DEFAULT_LIMITS, PostponeLimits

pytestmark = pytest.mark.usefixtures("queue_matches_states")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SOON = PostponeLimits(delay_seconds=0.0, rest_seconds=0.0)


@pytest.fixture
def shortage(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Have so many look-ups find no descriptor left; the names that were looked up."""
    ask: Any = socket.getaddrinfo

    def make(count: int) -> list[str]:
        asked: list[str] = []

        def getaddrinfo(host: bytes, *args: Any, **options: Any) -> Any:
            if host != b"localhost":
                return ask(host, *args, **options)
            asked.append(host.decode())
            if len(asked) <= count:
                raise OSError(errno.EMFILE, "Too many open files")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return make


def test_a_delivery_that_could_not_be_sent_is_sent_soon_and_nothing_is_counted(
    workspace: Workspace,
    receiver: Receiver,
    make_engine: MakeEngine,
    shortage: Callable[[int], list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = shortage(3)
    workspace.endpoint(receiver.url.replace("127.0.0.1", "localhost"))
    workspace.send(1)
    engine = make_engine(limits=replace(DEFAULT_LIMITS, postpone=SOON))
    with caplog.at_level(logging.WARNING, logger="webhooks_app.worker.postponed"):
        for _ in range(4):  # each is woken for what falls due again
            engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count, len(receiver.received)) == (DeliveryState.DELIVERED, 1, 1)
    assert [each.outcome for each in attempts()] == ["success"]
    assert len(asked) >= 4
    assert [record.message for record in caplog.records] == ["out_of_resources"]
    [health] = db.session.query(EndpointHealth)
    assert (health.last_failure_at, health.failure_count) == (None, 0)


def test_meanwhile_it_is_pending_and_no_attempt_is_recorded(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, shortage: Callable[[int], list[str]]
) -> None:
    shortage(1000)
    workspace.endpoint(receiver.url.replace("127.0.0.1", "localhost"))
    workspace.send(3)
    make_engine().run(seconds=60)

    assert {(each.state, each.attempt_count) for each in deliveries()} == {(DeliveryState.PENDING, 0)}
    assert (attempts(), len(queued())) == ([], 3)


@on_sqlite
def test_what_cannot_be_sent_for_long_is_recorded_as_an_attempt(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, shortage: Callable[[int], list[str]]
) -> None:
    shortage(1000)
    workspace.endpoint(receiver.url.replace("127.0.0.1", "localhost"))
    workspace.send(1)
    engine = make_engine(limits=replace(DEFAULT_LIMITS, postpone=replace(SOON, most_times=3)))
    for _ in range(4):
        engine.run(seconds=60)

    [attempt] = attempts()
    assert (attempt.outcome, attempt.generation) == ("platform", 4)
    assert "could not look up localhost" in (attempt.detail or "")
    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.PENDING, 1)


@on_sqlite
def test_while_means_are_short_nothing_more_is_claimed(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, shortage: Callable[[int], list[str]]
) -> None:
    shortage(1000)
    workspace.endpoint(receiver.url.replace("127.0.0.1", "localhost"))
    workspace.send(100)
    limits = replace(DEFAULT_LIMITS, postpone=replace(SOON, rest_seconds=600.0))
    turns = iter(range(20))
    result = make_engine(limits=limits).run(seconds=60, should_stop=lambda: next(turns, None) is None)
    assert 0 < result.claimed < 100
