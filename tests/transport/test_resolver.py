"""Wait for name servers that hang, fail and recover, and let the other names notice nothing of it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.transport.scripted_server import Serve, Server
from tests.transport.sending import ALWAYS_ASKS, collect, new_sender, wait_until, with_deadline
from webhooks_app.core.outcomes import Outcome
from webhooks_app.transport.name_lookup import LookupResult
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolver import Resolver
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.sender_limits import ResolverLimits, SenderLimits

HANG_SECONDS = 120
# So few look-ups that a test can use them up.
FEW = ResolverLimits(lookups_at_once=4, slow_lookups_at_once=2, threads=12)

SenderWith = Callable[[ResolverLimits], Sender]
ResolverWith = Callable[[ResolverLimits], Resolver]


class FakeDns:
    """Answer 127.0.0.1 as the system's resolver does, except for names that hang until released or fail."""

    def __init__(self) -> None:
        self.hanging: set[str] = set()
        self.failing: dict[str, int] = {}
        self.asked: list[str] = []
        self.released = threading.Event()

    def __call__(self, host: bytes, *_args: object, **_options: object) -> object:
        name = host.decode()
        self.asked.append(name)
        if name in self.hanging:
            self.released.wait(HANG_SECONDS)
        if reason := self.failing.get(name):
            raise socket.gaierror(reason, "it failed")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    def hang(self, count: int) -> list[str]:
        names = [f"hanging{number}.test" for number in range(count)]
        self.hanging.update(names)
        return names


@pytest.fixture
def fake_dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDns]:
    made = FakeDns()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.released.set()


@pytest.fixture
def sender_with() -> Iterator[SenderWith]:
    with ExitStack() as stack:

        def make(limits: ResolverLimits) -> Sender:
            made = new_sender(limits=SenderLimits(resolver=limits))
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve()


@pytest.fixture
def resolver_with() -> Iterator[ResolverWith]:
    with ExitStack() as stack:

        def make(limits: ResolverLimits) -> Resolver:
            made = Resolver(limits)
            stack.callback(made.close)
            return made

        yield make


def start(sender: Sender, server: Server, name: str, timeout_ms: int = 30_000) -> None:
    sender.start(name, Request(server.url_for(name), ["Expect:"], b"{}", timeout_ms))


def outcome_of(sender: Sender, name: str) -> Outcome:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for key, outcome in sender.poll(20):
            if key == name:
                return outcome
    raise AssertionError(f"{name} has no outcome")


def results_of(resolver: Resolver, names: list[str]) -> dict[str, LookupResult]:
    """Ask for each name until it has a new result, as requests do that wait for it."""
    results: dict[str, LookupResult] = {}

    def are_all_there() -> bool:
        results.update(resolver.take_results())
        missing = [name for name in names if name not in results]
        for name in missing:
            resolver.resolve(name)
        return not missing

    wait_until(are_all_there)
    return results


def quick_result_of(resolver: Resolver, name: str, *, seconds: float) -> LookupResult:
    """Return the first result that was there within this time, as a busy machine may keep one waiting."""
    while True:
        asked_at = time.monotonic()
        [result] = results_of(resolver, [name]).values()
        if time.monotonic() - asked_at < seconds:
            return result


def test_more_hanging_names_than_threads_hold_up_others_only_once_and_shortly(
    sender_with: SenderWith, server: Server, fake_dns: FakeDns
) -> None:
    sender = sender_with(replace(FEW, slow_after_seconds=0.3))
    for name in fake_dns.hang(7):
        start(sender, server, name, timeout_ms=120_000)
    start(sender, server, "first.test")
    assert outcome_of(sender, "first.test").is_success
    for name in fake_dns.hanging:
        start(sender, server, name, timeout_ms=120_000)
    start(sender, server, "second.test")
    # It was not polled, so the name would not be asked for again if it had to wait.
    wait_until(lambda: "second.test" in fake_dns.asked)
    assert outcome_of(sender, "second.test").is_success


def test_names_that_were_slow_share_a_few_threads_until_they_are_quick_again(
    resolver_with: ResolverWith, fake_dns: FakeDns
) -> None:
    resolver = resolver_with(replace(FEW, fresh_seconds=0.0, usable_seconds=0.0, slow_after_seconds=1.0))

    def look_up_again(names: list[str], expected: list[str]) -> None:
        fake_dns.released.clear()
        fake_dns.asked.clear()
        for name in names:
            resolver.resolve(name)
        wait_until(lambda: len(fake_dns.asked) == len(expected))
        assert sorted(fake_dns.asked) == expected

    hanging = fake_dns.hang(4)
    look_up_again(hanging, hanging)
    time.sleep(1.0)
    fake_dns.released.set()
    assert all(result.addresses for result in results_of(resolver, hanging).values())
    look_up_again(hanging, hanging[:2])
    fake_dns.released.set()
    # Once more where this process stood still, so that they were not quick.
    wait_until(lambda: results_of(resolver, hanging) and not resolver._slow_names)
    look_up_again(hanging, hanging)


def test_there_is_an_end_to_threads(resolver_with: ResolverWith, fake_dns: FakeDns) -> None:
    limits = replace(FEW, slow_after_seconds=0.2)
    resolver, hanging = resolver_with(limits), fake_dns.hang(20)

    def ask_for_all() -> int:
        for name in hanging:
            resolver.resolve(name)
        return len(fake_dns.asked)

    wait_until(lambda: ask_for_all() >= limits.threads)
    for _ in range(2):
        time.sleep(limits.slow_after_seconds + 0.01)
        ask_for_all()
    assert len(fake_dns.asked) == limits.threads


def ask_for_good(sender: Sender, server: Server) -> None:
    """Make the sender know good.test, whose result is no longer fresh where `fresh_seconds` is 0."""
    start(sender, server, "good.test")
    assert outcome_of(sender, "good.test").is_success


def test_an_aged_answer_is_used_while_a_newer_one_does_not_come(
    sender_with: SenderWith, server: Server, fake_dns: FakeDns
) -> None:
    sender = sender_with(ResolverLimits(fresh_seconds=0.0, slow_after_seconds=0.3))
    ask_for_good(sender, server)
    fake_dns.hanging.add("good.test")
    for _ in range(3):
        start(sender, server, "good.test")
        assert outcome_of(sender, "good.test").is_success
    wait_until(lambda: fake_dns.asked == ["good.test"] * 2)


def test_an_aged_answer_is_used_at_once_where_the_name_is_known_to_be_slow(
    resolver_with: ResolverWith, fake_dns: FakeDns
) -> None:
    resolver = resolver_with(replace(FEW, fresh_seconds=0.0, slow_after_seconds=1.0))
    first = quick_result_of(resolver, "good.test", seconds=1.0)
    fake_dns.hanging.add("good.test")
    assert resolver.resolve("good.test") is None
    wait_until(lambda: resolver.resolve("good.test") is first)


def test_an_aged_answer_is_used_for_some_time_only(
    sender_with: SenderWith, server: Server, fake_dns: FakeDns
) -> None:
    sender = sender_with(ResolverLimits(fresh_seconds=0.0, usable_seconds=0.0))
    ask_for_good(sender, server)
    fake_dns.hanging.add("good.test")

    def ask(timeout_ms: int) -> Outcome:
        start(sender, server, "good.test", timeout_ms=timeout_ms)
        return outcome_of(sender, "good.test")

    outcome, _ = with_deadline(ask, "the name servers of good.test did not answer")
    assert outcome.kind == "timeout"


def test_an_aged_answer_is_used_at_once_where_no_thread_is_free(
    sender_with: SenderWith, server: Server, fake_dns: FakeDns
) -> None:
    sender = sender_with(replace(FEW, fresh_seconds=0.0, refresh_seconds=100.0, slow_after_seconds=100.0))
    ask_for_good(sender, server)
    for name in fake_dns.hang(4):
        start(sender, server, name, timeout_ms=120_000)
    start(sender, server, "good.test")  # its deadline comes before it would be asked for again
    assert outcome_of(sender, "good.test").is_success


@pytest.mark.parametrize(
    ("reason", "kind"), [(socket.EAI_AGAIN, "success"), (socket.EAI_NONAME, "dns")], ids=["again", "noname"]
)
def test_an_aged_answer_outlasts_failing_name_servers_but_not_the_name(
    sender_with: SenderWith, server: Server, fake_dns: FakeDns, reason: int, kind: str
) -> None:
    sender = sender_with(ALWAYS_ASKS)
    ask_for_good(sender, server)
    fake_dns.failing["good.test"] = reason
    for _ in range(2):
        start(sender, server, "good.test")
        assert outcome_of(sender, "good.test").kind == kind
    assert fake_dns.asked == ["good.test"] * 3


def test_nobody_is_blamed_for_others_name_servers(
    sender_with: SenderWith, server: Server, fake_dns: FakeDns
) -> None:
    first, *_ = fake_dns.hang(4)
    outcomes: list[Outcome] = []

    def ask(timeout_ms: int) -> Outcome:
        sender = sender_with(replace(FEW, slow_after_seconds=100.0))
        for name in sorted(fake_dns.hanging):
            start(sender, server, name, timeout_ms=2 * timeout_ms)
        start(sender, server, "good.test", timeout_ms=timeout_ms)
        found = collect(sender, 5)
        outcomes[:] = found["good.test"], found[first]
        return found[first]

    _, deadline_ms = with_deadline(ask, f"the name servers of {first} did not answer")
    good, bad = outcomes
    assert good.detail == (
        f"No complete response within {deadline_ms / 1000:g} s: good.test was not looked up in time, "
        "as other names kept this platform waiting."
    )
    assert bad.detail == (
        f"No complete response within {deadline_ms / 500:g} s: the name servers of {first} did not answer."
    )
    assert (good.kind, bad.kind) == ("platform", "timeout")


def test_what_nobody_waits_for_any_more_is_not_looked_up(
    sender_with: SenderWith, server: Server, fake_dns: FakeDns
) -> None:
    sender = sender_with(replace(FEW, slow_after_seconds=100.0))
    for name in fake_dns.hang(4):
        start(sender, server, name)
    wait_until(lambda: len(fake_dns.asked) == 4)
    for number in range(10):
        start(sender, server, f"late{number}.test", timeout_ms=100)
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
