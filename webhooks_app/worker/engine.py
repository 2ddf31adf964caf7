"""The loop that keeps deliveries moving: claim, sign, send, record, until nothing is due.

`Claimer` claims, `Dispatcher` sends, `OutcomeBuffer` records; the engine gives each its turn.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from webhooks_app.core import clock
from webhooks_app.core.encryption import Cipher
from webhooks_app.db.engines import Databases
from webhooks_app.endpoints.destinations import Destinations
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.counters import ProcessCounters
from webhooks_app.monitoring.own_report import LISTED_ENDPOINTS
from webhooks_app.monitoring.tracing import Tracer
from webhooks_app.transport.sender import Sender
from webhooks_app.worker import claims
from webhooks_app.worker.claimed_delivery import ClaimedDelivery, ClaimKey
from webhooks_app.worker.claimer import Claimer
from webhooks_app.worker.concurrency import Concurrency
from webhooks_app.worker.database_backoff import DatabaseBackoff
from webhooks_app.worker.dispatcher import Dispatcher
from webhooks_app.worker.engine_limits import DEFAULT_LIMITS, EngineLimits
from webhooks_app.worker.outcome_buffer import OutcomeBuffer
from webhooks_app.worker.postponed import PostponedDeliveries
from webhooks_app.worker.unsendable_deliveries import UnsendableDeliveries


@dataclass(slots=True, frozen=True)
class RunResult:
    """How many deliveries one run claimed, and how many outcomes it recorded."""

    claimed: int
    recorded: int


class DeliveryEngine:
    """One per worker process: keeps connections, and what it knows of endpoints, from one job to the next."""

    def __init__(
        self,
        *,
        databases: Databases,
        sender: Sender,
        cipher: Cipher,
        wake_ups: WakeUps,
        delays: tuple[float, ...],
        lease: timedelta,
        limits: EngineLimits = DEFAULT_LIMITS,
        counters: ProcessCounters | None = None,
    ) -> None:
        """`delays` are the retry schedule's, in seconds."""
        # While the engine waits for SQLite's lock it reads no answers.
        databases = replace(databases, write=databases.write.with_short_lock_timeout())
        self._database = databases.write
        self._sender = sender
        self._wake_ups = wake_ups
        self._limits = limits
        self._idle_since, self._turned_at = 0.0, time.monotonic()
        self._sender.watch(wake_ups.waiter, wake_ups.waiter.note)
        self._backoff = DatabaseBackoff(limits.backoff)
        self._concurrency = Concurrency(sender.free, limits.concurrency)
        self._outcomes = OutcomeBuffer(
            databases.write, wake_ups, lease=lease, limits=limits.buffer, counters=counters
        )
        self._postponed = PostponedDeliveries(databases.write, wake_ups, limits.postpone)
        self._unsendable = UnsendableDeliveries(databases.write)
        self._unreleased: list[ClaimedDelivery] = []
        self._claimer = Claimer(databases, wake_ups, self._concurrency, lease=lease, limits=limits.claims)
        self._dispatcher = Dispatcher(
            databases,
            sender,
            Destinations(cipher, cache_size=limits.cached_destinations),
            self._concurrency,
            self._outcomes,
            self._postponed,
            self._unsendable,
            delays=delays,
            pause_endpoint=self._claimer.pause_endpoint,
        )

    def run(self, *, seconds: float, should_stop: Callable[[], bool] = lambda: False) -> RunResult:
        """Deliver what is due until nothing is, `seconds` have passed, or `should_stop` returns True.

        Requests that are in flight when the time is over stay so, for `work_in_flight` and the next run.
        Whatever happens, no delivery is lost: one that is claimed and not recorded falls due again with its
        lease.
        """
        recorded_before, expects_more = self._outcomes.recorded, False
        self._concurrency.forget_idle()
        self._claimer.start_run()
        self._wake_ups.start_run()
        self._idle_since = time.monotonic()
        deadline = time.monotonic() + seconds
        try:
            while self._should_stay() and time.monotonic() < deadline and not should_stop():
                self._work_on(self._step)
            self._release([])
            expects_more = self._has_work
        finally:
            self._wake_ups.end_run(expects_more=expects_more)
        if should_stop():
            self.drain()
        return RunResult(self._claimer.claimed, self._outcomes.recorded - recorded_before)

    def work_in_flight(self) -> bool:
        """Work for some milliseconds on what a run left in flight; return False if nothing is left."""
        if not self._has_unrecorded:
            return False
        self._work_on(lambda: self._write_outcomes(expects_more=self._dispatcher.is_sending))
        return True

    def drain(self) -> None:
        """Wait shortly for what is in flight and release the rest; to be called before the process ends."""
        deadline = time.monotonic() + self._limits.stop_grace_seconds
        while self._has_unrecorded and time.monotonic() < deadline:
            self.work_in_flight()
        self._release(self._dispatcher.abandon(), seconds=self._limits.release_seconds)

    def close(self) -> None:
        """Close all connections to endpoints."""
        self._sender.close()

    @property
    def unrecorded(self) -> frozenset[ClaimKey]:
        """What was sent and is not recorded: should this process die, it is sent again."""
        return frozenset([*self._dispatcher.in_flight, *self._outcomes.unwritten])

    def trace_with(self, tracer: Tracer | None) -> None:
        """Tell the tracer of each claim and each attempt from now on."""
        self._claimer.tracer = self._outcomes.tracer = tracer

    def describe(self) -> dict[str, Any]:
        """Return what the engine is doing, for operators; may be called from any thread.

        `endpoints` are those with most in flight: id, requests in flight, how many it may have.
        """
        return {
            "in_flight": self._dispatcher.in_flight_count,
            "capacity": self._concurrency.capacity,
            "endpoints": self._concurrency.busiest(LISTED_ENDPOINTS),
            "silent_seconds": round(time.monotonic() - self._turned_at, 1),
        }

    @property
    def _has_unrecorded(self) -> bool:
        return self._dispatcher.is_sending or bool(self._outcomes) or bool(self._postponed)

    @property
    def _has_work(self) -> bool:
        return self._has_unrecorded or self._dispatcher.has_unsent or self._claimer.expects_more

    def _should_stay(self) -> bool:
        """Return True while there is work and shortly after: the next event then needs no job."""
        if self._has_work:
            self._idle_since = time.monotonic()
        return time.monotonic() - self._idle_since < self._limits.linger_seconds

    def _work_on(self, act: Callable[[], None]) -> bool:
        """Take the answers that came, then `act`; return whether the database answered.

        Answers come whether the database takes them or not.
        """
        self._turned_at = time.monotonic()
        self._dispatcher.take_answers(self._limits.poll_ms)
        has_answered = self._backoff.run(act)
        if not has_answered and not self._dispatcher.is_sending:
            self._wait_idle()
        return has_answered

    def _step(self) -> None:
        # Even with nothing in flight: the next event may come while they would be written, and wait for that.
        self._write_outcomes(expects_more=True)
        self._dispatcher.start_claimed()  # what an earlier step could not load
        if self._unsendable.settle_not_accepted():
            self._claimer.request_scan()
        self._unsendable.cancel_erased()
        self._dispatcher.send_next_isolated()
        is_sending = self._dispatcher.is_sending
        claimed = self._claimer.claim(self._dispatcher.free_slots, is_sending=is_sending)
        if claimed:
            self._dispatcher.add(claimed)
            self._dispatcher.start_claimed()
        elif claimed is None and not is_sending:
            self._wait_idle(min(self._outcomes.seconds_left, self._claimer.rest_seconds))

    def _wait_idle(self, longest_seconds: float = math.inf) -> None:
        """Wait, with nothing in flight, until there may be something to claim; no longer than that."""
        is_notified = self._wake_ups.waiter.is_listening
        seconds = self._limits.notified_seconds if is_notified else self._limits.idle_seconds
        self._sender.wait(min(seconds, longest_seconds))

    def _write_outcomes(self, *, expects_more: bool) -> None:
        self._outcomes.write_if_due(expects_more=expects_more)
        self._postponed.release()

    def _release(self, abandoned: list[ClaimedDelivery], *, seconds: float = 0.0) -> None:
        """Release `abandoned` and what was not sent at all, so that another worker sends it at once.

        A database that does not take it within `seconds` is asked once more when this is called again, or
        has it fall due with its lease.
        """
        self._unreleased += [*abandoned, *self._dispatcher.drop_unsent(), *self._postponed.drop()]
        if not self._unreleased:
            return
        deadline = time.monotonic() + seconds
        while not self._work_on(self._release_now) and time.monotonic() < deadline:
            pass
        self._wake_ups.wake_worker()

    def _release_now(self) -> None:
        claims.release(self._database, self._unreleased, due_at=clock.now())
        self._unreleased.clear()
