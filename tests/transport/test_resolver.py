"""Name servers that hang, fail and recover, and what the other names notice of it: nothing."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest

from tests.conftest import wait_for
from tests.hostile import OK, Server, answering
from webhooks_app.core.outcomes import Outcome
from webhooks_app.transport import resolver
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolver import LookupResult, Resolver
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.target_policy import TargetPolicy

POLICY = TargetPolicy(allow_http=True, allowed_networks=(ip_network("127.0.0.1/32"),))


class FakeDns:
    """The system's: answers 127.0.0.1, except for names that hang until they are released or fail."""

    def __init__(self) -> None:
        self.hanging: set[str] = set()
        self.failing: dict[str, int] = {}
        self.asked: list[str] = []
        self.released = threading.Event()

    def __call__(self, host: bytes, *_args: object, **_options: object) -> object:
        name = host.decode()
        self.asked.append(name)
        if name in self.hanging:
            self.released.wait(120)
        if reason := self.failing.get(name):
            raise socket.gaierror(reason, "it failed")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    def hang(self, count: int) -> list[str]:
        found = [f"hanging{place}.test" for place in range(count)]
        self.hanging.update(found)
        return found


@pytest.fixture
def fake_dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDns]:
    made = FakeDns()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.released.set()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools and patience of a size for tests."""
    for name, value in {
        "MOST_AT_ONCE": 4,
        "MOST_SLOW": 2,
        "MOST_THREADS": 12,
        "PATIENCE_SECONDS": 0.2,
    }.items():
        monkeypatch.setattr(resolver, name, value)


@pytest.fixture
def lookups() -> Iterator[Resolver]:
    made = Resolver()
    yield made
    made.close()


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = Sender(policy=POLICY, ca_bundle=None, capacity=500)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(answering(OK)) as running:
        yield running


def start(sender: Sender, server: Server, name: str, timeout_ms: int = 30_000) -> None:
    sender.start(name, Request(server.url_for(name), ["Expect:"], b"{}", timeout_ms))


def outcome_of(sender: Sender, name: str) -> Outcome:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for key, outcome in sender.poll(20):
            if key == name:
                return outcome
    raise AssertionError(f"{name} has no outcome")


def answer_of(lookups: Resolver, name: str) -> LookupResult:
    """As a request that waits for it asks."""
    since = time.monotonic()
    while time.monotonic() - since < 60:
        found = lookups.collect().get(name) or lookups.known(name, waited=time.monotonic() - since)
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"{name} has no answer")


def seconds_for(act: Callable[[], object]) -> float:
    started_at = time.monotonic()
    act()
    return time.monotonic() - started_at


@pytest.mark.usefixtures("small")
def test_more_hanging_names_than_threads_hold_up_others_only_once_and_shortly(
    sender: Sender, server: Server, fake_dns: FakeDns
) -> None:
    for name in fake_dns.hang(7):
        start(sender, server, name)
    start(sender, server, "first.test")
    assert seconds_for(lambda: outcome_of(sender, "first.test")) < 1
    for name in fake_dns.hanging:
        start(sender, server, name)
    start(sender, server, "second.test")
    assert seconds_for(lambda: outcome_of(sender, "second.test")) < 0.15


@pytest.mark.usefixtures("small")
def test_names_that_were_slow_share_a_few_threads_until_they_are_quick_again(
    lookups: Resolver, fake_dns: FakeDns
) -> None:
    hanging = fake_dns.hang(4)
    for name in hanging:
        lookups.known(name)
    wait_for(lambda: len(fake_dns.asked) == 4)
    time.sleep(0.25)
    fake_dns.released.set()
    for name in hanging:
        answer_of(lookups, name)
    lookups._kept.clear()
    fake_dns.released.clear()
    fake_dns.asked.clear()
    for name in hanging:
        lookups.known(name)
    wait_for(lambda: len(fake_dns.asked) >= 2)
    time.sleep(0.05)
    assert sorted(fake_dns.asked) == hanging[:2]
    fake_dns.released.set()
    assert all(answer_of(lookups, name).addresses for name in hanging)
    assert lookups._slow == set()


@pytest.mark.usefixtures("small")
def test_there_is_an_end_to_threads(lookups: Resolver, fake_dns: FakeDns) -> None:
    hanging = fake_dns.hang(20)
    for _ in range(5):
        for name in hanging:
            lookups.known(name)
        time.sleep(0.21)
    assert len(fake_dns.asked) == resolver.MOST_THREADS


def age_the_answer(sender: Sender, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """good.test is known, and its answer is too old already."""
    start(sender, server, "good.test")
    assert outcome_of(sender, "good.test").is_success
    monkeypatch.setattr(resolver, "KEPT_SECONDS", 0.0)


def test_an_aged_answer_is_used_while_a_newer_one_does_not_come(
    sender: Sender, server: Server, fake_dns: FakeDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    age_the_answer(sender, server, monkeypatch)
    monkeypatch.setattr(resolver, "PATIENCE_SECONDS", 0.3)
    fake_dns.hanging.add("good.test")
    for longest in (0.5, 0.5, 0.1):
        start(sender, server, "good.test")
        started_at = time.monotonic()
        assert outcome_of(sender, "good.test").is_success
        assert time.monotonic() - started_at < longest
    monkeypatch.setattr(resolver, "USABLE_SECONDS", 0.0)
    start(sender, server, "good.test", timeout_ms=300)
    assert outcome_of(sender, "good.test").kind == "timeout"


@pytest.mark.usefixtures("small")
def test_an_aged_answer_is_used_at_once_where_no_thread_is_free(
    sender: Sender, server: Server, fake_dns: FakeDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    age_the_answer(sender, server, monkeypatch)
    for name in fake_dns.hang(4):
        start(sender, server, name)
    start(sender, server, "good.test")
    assert seconds_for(lambda: outcome_of(sender, "good.test")) < 0.1


@pytest.mark.parametrize(
    ("reason", "kind"), [(socket.EAI_AGAIN, "success"), (socket.EAI_NONAME, "dns")], ids=["again", "noname"]
)
def test_an_aged_answer_outlasts_failing_name_servers_but_not_the_name(
    sender: Sender,
    server: Server,
    fake_dns: FakeDns,
    monkeypatch: pytest.MonkeyPatch,
    reason: int,
    kind: str,
) -> None:
    age_the_answer(sender, server, monkeypatch)
    fake_dns.failing["good.test"] = reason
    for _ in range(2):
        start(sender, server, "good.test")
        assert outcome_of(sender, "good.test").kind == kind
    assert fake_dns.asked == ["good.test"] * 3


@pytest.mark.usefixtures("small")
def test_nobody_is_blamed_for_others_name_servers(
    sender: Sender, server: Server, fake_dns: FakeDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "PATIENCE_SECONDS", 5.0)
    first, *_ = fake_dns.hang(4)
    for name in fake_dns.hanging:
        start(sender, server, name, timeout_ms=400)
    start(sender, server, "good.test", timeout_ms=300)
    good, bad = outcome_of(sender, "good.test"), outcome_of(sender, first)
    assert good.detail == (
        "No complete response within 0.3 s: good.test was not looked up in time, "
        "as other names kept this platform waiting."
    )
    assert bad.detail == f"No complete response within 0.4 s: the name servers of {first} did not answer."
    assert (good.kind, bad.kind) == ("platform", "timeout")


@pytest.mark.usefixtures("small")
def test_what_nobody_waits_for_any_more_is_not_looked_up(
    sender: Sender, server: Server, fake_dns: FakeDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "PATIENCE_SECONDS", 5.0)
    for name in fake_dns.hang(4):
        start(sender, server, name)
    for place in range(10):
        start(sender, server, f"late{place}.test", timeout_ms=100)
    assert outcome_of(sender, "late9.test").kind == "platform"
    fake_dns.released.set()
    assert outcome_of(sender, "hanging0.test").is_success
    assert sorted(fake_dns.asked) == sorted(fake_dns.hanging)


def test_a_thread_that_cannot_be_started_is_a_problem_not_a_crash(
    sender: Sender, server: Server, fake_dns: FakeDns
) -> None:
    usual = threading.stack_size(1 << 46)  # more than any system gives
    try:
        start(sender, server, "good.test")
    finally:
        threading.stack_size(usual)
    outcome = outcome_of(sender, "good.test")
    assert (outcome.kind, fake_dns.asked) == ("platform", [])
    assert outcome.detail == "This platform could not start a thread to look up good.test."
    start(sender, server, "good.test")
    assert outcome_of(sender, "good.test").is_success
