"""Send HTTP requests by libcurl: hundreds in flight in one thread, connections kept.

Each request has one deadline for everything (DNS, connect, TLS, body); no redirect is followed, no proxy or
.netrc read, no body decoded.

What is guaranteed of addresses: a name is looked up by the platform (`resolver`), and one forbidden address
in its answer refuses the whole name. libcurl gets the judged addresses with the request and may look up
nothing itself, so nothing changes in between (DNS rebinding). Before each socket it asks about the very
address again (`connection_guard`); once refused, the request gets no further socket. A kept connection leads
to the permitted address that it was opened to, and serves further requests only while the name's present
answer is permitted and still holds all addresses of the answer that it was opened for.
"""

import time
from collections.abc import Callable
from typing import Any

import certifi

from webhooks_app.core.outcomes import Outcome, OutcomeClass, Timings
from webhooks_app.transport.name_lookup import LookupResult
from webhooks_app.transport.pending_lookups import PendingLookups, PendingRequest
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolved_target import ResolvedTargets, target_of
from webhooks_app.transport.resolver import Resolver
from webhooks_app.transport.sender_limits import DEFAULT_LIMITS, SenderLimits
from webhooks_app.transport.target_policy import TargetPolicy
from webhooks_app.transport.transfers import Transfers
from webhooks_app.transport.watched_sockets import HasFileno, WatchedSockets


class Sender:
    """Send requests side by side. One per process; not for use from several threads."""

    def __init__(
        self,
        *,
        policy: TargetPolicy,
        ca_bundle: str | None,
        capacity: int,
        limits: SenderLimits = DEFAULT_LIMITS,
    ) -> None:
        self._capacity = capacity
        self._sockets = WatchedSockets(limits.floods)
        self._transfers = Transfers(policy, ca_bundle or certifi.where(), self._sockets, limits)
        self._resolver = Resolver(limits.resolver)
        self._resolver_descriptor = self._resolver.fileno()
        self._sockets.watch_permanently(self._resolver)
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._pending = PendingLookups(self._resolver, limits.resolver.refresh_seconds)
        self._resolved_targets = ResolvedTargets(policy, limits.connections.longest_seconds)

    @property
    def in_flight(self) -> int:
        return len(self._transfers.in_flight) + len(self._pending.requests) + len(self._transfers.completed)

    @property
    def free(self) -> int:
        return self._capacity - self.in_flight

    def start(self, key: Any, request: Request) -> None:
        """Begin the request; `poll` returns its outcome under `key`."""
        target = target_of(request.url)
        if target.is_address:
            self._transfers.start(key, request, target)
            return
        pending = PendingRequest(key, request, target, time.monotonic())
        if result := self._resolver.resolve(target.host):
            self._send(pending, result)
        else:
            self._pending.add(pending)

    def watch(self, source: HasFileno, on_ready: Callable[[], None]) -> None:
        """Have `poll` and `wait` return early, and call `on_ready`, whenever the source is readable."""
        self._sockets.watch_permanently(source)
        self._callbacks[source.fileno()] = on_ready

    def wait(self, seconds: float) -> None:
        """Wait, with nothing in flight, until a watched source is readable."""
        for descriptor, _ in self._sockets.wait(seconds):
            self._handle_signal(descriptor)

    def poll(self, wait_ms: int) -> list[tuple[Any, Outcome]]:
        """Work on what is in flight for up to `wait_ms`; return the outcomes that came, with their keys."""
        self._run_timers()
        completed = self._transfers.take_completed()
        if completed or not (self._transfers.in_flight or self._pending.requests):
            return completed
        for descriptor, events in self._sockets.wait(self._wait_seconds(wait_ms)):
            if descriptor == self._resolver_descriptor:
                self._take_lookup_results()
            elif not self._handle_signal(descriptor):
                self._transfers.handle_ready(descriptor, events)
        self._run_timers()
        return self._transfers.take_completed()

    def abandon(self) -> None:
        """Drop what is in flight; its outcomes will not be known."""
        self._transfers.abandon()
        self._pending.clear()

    def close(self) -> None:
        self.abandon()
        self._transfers.close()
        self._sockets.close()
        self._resolver.close()

    def _handle_signal(self, descriptor: int) -> bool:
        """Return whether it is the descriptor of a watched source."""
        if (on_ready := self._callbacks.get(descriptor)) is None:
            return False
        on_ready()
        return True

    def _run_timers(self) -> None:
        now = time.monotonic()
        if self._transfers.timer_at <= now:
            self._transfers.handle_timer()
        if self._pending.due_at <= now:
            self._take_lookup_results()

    def _wait_seconds(self, wait_ms: int) -> float:
        until = min(self._transfers.timer_at, self._pending.due_at) - time.monotonic()
        return max(0.0, min(wait_ms / 1000, until))

    def _take_lookup_results(self) -> None:
        """Send the requests whose name is resolved by now, and give up those past their deadlines."""
        for pending, result in self._pending.take_decided():
            if result:
                self._send(pending, result)
            else:
                self._complete_unsent(pending, *self._pending.explain_timeout(pending))

    def _send(self, pending: PendingRequest, result: LookupResult) -> None:
        resolved = self._resolved_targets.get(result, pending.target)
        if resolved.refusal:
            self._complete_unsent(pending, *resolved.refusal)
            return
        waited_seconds = time.monotonic() - pending.since
        self._transfers.start(
            pending.key, pending.request, pending.target, waited_seconds=waited_seconds, resolved=resolved
        )

    def _complete_unsent(self, pending: PendingRequest, kind: OutcomeClass, detail: str) -> None:
        waited_us = round((time.monotonic() - pending.since) * 1_000_000)
        timings = Timings(dns_us=waited_us, total_us=waited_us)
        self._transfers.completed.append((pending.key, Outcome(kind, detail, timings=timings)))
