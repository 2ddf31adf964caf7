"""Send requests as a worker does, and wait for their outcomes."""

import time
from collections.abc import Callable
from ipaddress import ip_network

from webhooks_app.core.outcomes import Outcome
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.sender_limits import DEFAULT_LIMITS, ResolverLimits, SenderLimits
from webhooks_app.transport.target_policy import TargetPolicy

# 127.0.0.1 and ::1 stand for public addresses, the rest of loopback for forbidden ones.
POLICY = TargetPolicy(allow_http=True, allowed_networks=(ip_network("127.0.0.1/32"), ip_network("::1/128")))

HEADERS = ["content-type: application/json", "user-agent: Test", "Accept:", "Expect:"]

DEADLINE_MS = 400
# What has to be there at the deadline is not where this process stood still meanwhile: then one of these.
LONGER_DEADLINES_MS = (4_000, 20_000)
# What is not cut off early or at its deadline lasts minutes; a busy machine needs seconds.
PATIENCE_SECONDS = 30

# A name is looked up for each request, which waits for that however long it takes.
ALWAYS_ASKS = ResolverLimits(fresh_seconds=0.0, refresh_seconds=100.0, slow_after_seconds=100.0)


DnsAnswers = dict[str, list[list[str]]]


def new_sender(
    policy: TargetPolicy = POLICY,
    *,
    ca_bundle: str | None = None,
    capacity: int = 500,
    limits: SenderLimits = DEFAULT_LIMITS,
) -> Sender:
    return Sender(policy=policy, ca_bundle=ca_bundle, capacity=capacity, limits=limits)


def collect(sender: Sender, count: int) -> dict[object, Outcome]:
    found: dict[object, Outcome] = {}
    limit = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < limit, f"{count - len(found)} outcomes are missing"
        found.update(sender.poll(20))
    return found


def send(
    sender: Sender, url: str, *, body: bytes = b"{}", headers: list[str] = HEADERS, timeout_ms: int = 30_000
) -> Outcome:
    sender.start("key", Request(url, headers, body, timeout_ms))
    return collect(sender, 1)["key"]


def send_once(policy: TargetPolicy, url: str) -> Outcome:
    sender = new_sender(policy)
    outcome = send(sender, url)
    sender.close()
    return outcome


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.005)


def with_deadline(attempt: Callable[[int], Outcome], words: str) -> tuple[Outcome, int]:
    """Return the outcome and the deadline, in ms, of the first attempt whose detail has the words."""
    for deadline_ms in (DEADLINE_MS, *LONGER_DEADLINES_MS):
        outcome = attempt(deadline_ms)
        if words in outcome.detail:
            break
    return outcome, deadline_ms


def assert_cut_at_its_deadline(outcome: Outcome, deadline_ms: int) -> None:
    assert 0.95 * deadline_ms < outcome.timings.total_us / 1000 < PATIENCE_SECONDS * 1000
