"""Keep the requests whose host name is being looked up."""

import math
import time
from dataclasses import dataclass
from typing import Any

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.curl_errors import timeout_sentence
from webhooks_app.transport.name_lookup import LookupResult
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolved_target import Target
from webhooks_app.transport.resolver import Resolver


@dataclass(slots=True)
class PendingRequest:
    """Hold a request and when it was started, in seconds of the monotonic clock."""

    key: Any
    request: Request
    target: Target
    since: float

    @property
    def deadline(self) -> float:
        return self.since + self.request.timeout_ms / 1000


class PendingLookups:
    """Hold `requests` that wait, and when to ask the resolver again: `due_at`, of the monotonic clock."""

    def __init__(self, resolver: Resolver, refresh_seconds: float) -> None:
        self.due_at = math.inf
        self._resolver = resolver
        self._refresh_seconds = refresh_seconds
        self.requests: list[PendingRequest] = []

    def add(self, pending: PendingRequest) -> None:
        self.requests.append(pending)
        self.due_at = min(self.due_at, pending.deadline, pending.since + self._refresh_seconds)

    def clear(self) -> None:
        self.requests.clear()
        self.due_at = math.inf

    def take_decided(self) -> list[tuple[PendingRequest, LookupResult | None]]:
        """Return the requests whose name is resolved by now, and with None those past their deadlines."""
        results, now = self._resolver.take_results(), time.monotonic()
        decided: list[tuple[PendingRequest, LookupResult | None]] = []
        undecided = []
        for pending in self.requests:
            if pending.deadline <= now:
                decided.append((pending, None))
            elif result := self._result_for(pending, results, now):
                decided.append((pending, result))
            else:
                undecided.append(pending)
        self.requests = undecided
        deadlines = (pending.deadline for pending in undecided)
        self.due_at = min(*deadlines, now + self._refresh_seconds) if undecided else math.inf
        return decided

    def explain_timeout(self, pending: PendingRequest) -> tuple[OutcomeClass, str]:
        """Return the class and the sentence for a request whose name was not resolved by its deadline."""
        timeout_ms = pending.request.timeout_ms
        kind, stage = self._resolver.explain_timeout(
            pending.target.host, since=pending.since, timeout_seconds=timeout_ms / 1000
        )
        return kind, timeout_sentence(timeout_ms, stage)

    def _result_for(
        self, pending: PendingRequest, results: dict[str, LookupResult], now: float
    ) -> LookupResult | None:
        host = pending.target.host
        return results.get(host) or self._resolver.resolve(host, waited_seconds=now - pending.since)
