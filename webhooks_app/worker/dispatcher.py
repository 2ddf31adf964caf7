"""Sign and send what was claimed, and take the answers."""

import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime

from webhooks_app.core import clock, failpoints
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db import event_bodies
from webhooks_app.db.engines import Databases
from webhooks_app.endpoints.destinations import Destination, Destinations
from webhooks_app.jobs.wake_ups import JobTimeout
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.worker import claims, send_data, signed_requests
from webhooks_app.worker.claimed_delivery import EXPIRED_LEASES_TO_GIVE_UP, ClaimedDelivery, ClaimKey
from webhooks_app.worker.concurrency import Concurrency
from webhooks_app.worker.outcome_buffer import OutcomeBuffer
from webhooks_app.worker.postponed import PostponedDeliveries
from webhooks_app.worker.retry_decision import RetryDecision, decide
from webhooks_app.worker.unsendable_deliveries import UnsendableDeliveries

log = logging.getLogger(__name__)

# Nothing came back: the request held its slot for as long as that took.
_UNRESPONSIVE = frozenset(
    {
        OutcomeClass.TIMEOUT,
        OutcomeClass.CONNECT,
        OutcomeClass.CONNECTION_LOST,
        OutcomeClass.DNS,
        OutcomeClass.TLS,
    }
)
_OVERLOADED = _UNRESPONSIVE | {OutcomeClass.HTTP_429, OutcomeClass.HTTP_5XX}


class Dispatcher:
    """One per engine: everything that is claimed and has no outcome yet.

    `pause_endpoint` is called with an endpoint's id and the moment until which it asked to be left alone.
    """

    def __init__(
        self,
        databases: Databases,
        sender: Sender,
        destinations: Destinations,
        concurrency: Concurrency,
        outcomes: OutcomeBuffer,
        postponed: PostponedDeliveries,
        unsendable: UnsendableDeliveries,
        *,
        delays: tuple[float, ...],
        pause_endpoint: Callable[[str, datetime], None],
    ) -> None:
        self._databases = databases
        self._sender = sender
        self._destinations = destinations
        self._concurrency = concurrency
        self._outcomes = outcomes
        self._postponed = postponed
        self._unsendable = unsendable
        self._delays = delays
        self._pause_endpoint = pause_endpoint
        self._claimed: deque[ClaimedDelivery] = deque()
        self._isolated: deque[tuple[ClaimedDelivery, Request]] = deque()
        self._in_flight: dict[ClaimKey, ClaimedDelivery] = {}
        # Answers not handled yet: if handling one raises, the next call continues with the others.
        self._answers: deque[tuple[ClaimKey, Outcome]] = deque()

    @property
    def is_sending(self) -> bool:
        return bool(self._in_flight)

    @property
    def in_flight(self) -> Iterable[ClaimKey]:
        """The claims whose requests were started and have no answer yet."""
        return self._in_flight

    @property
    def in_flight_count(self) -> int:
        return len(self._in_flight)

    @property
    def has_unsent(self) -> bool:
        return bool(self._claimed or self._unsendable or self._isolated)

    @property
    def free_slots(self) -> int:
        return 0 if self._postponed.is_out_of_resources else self._sender.free

    def add(self, claimed: list[ClaimedDelivery]) -> None:
        self._claimed.extend(claimed)

    def start_claimed(self) -> None:
        """Send what was claimed; set aside what has to wait or cannot be sent.

        Raises errors of the database, and then keeps what was claimed for the next call.
        """
        if not self._claimed:
            return
        by_endpoint, bodies = send_data.known(self._destinations, self._claimed) or send_data.load(
            self._databases.read, self._destinations, self._claimed
        )
        failpoints.hit("worker.claimed")
        now = clock.now()
        while self._claimed:
            delivery = self._claimed.popleft()
            body, delivery.body = delivery.body, None
            if body is None:
                body = bodies[delivery.event_id]
            self._start(delivery, by_endpoint[delivery.endpoint_id], body, now)

    def _start(self, delivery: ClaimedDelivery, destination: Destination, body: bytes, now: datetime) -> None:
        keys = destination.keys_at(now)
        delivery.started_at = now
        is_damaged = isinstance(body, event_bodies.Unreadable)
        if not body and not is_damaged:  # every event has an envelope until its payload is erased
            self._unsendable.erased.append(delivery)
        elif destination.not_accepting is not None:
            self._unsendable.not_accepted.append(delivery)
        elif is_damaged:
            log.error("payload_damaged", extra={"delivery_id": delivery.delivery_id})
            self._end_unsent(delivery, OutcomeClass.PAYLOAD, now)
        elif delivery.expired_leases >= EXPIRED_LEASES_TO_GIVE_UP:
            self._end_unsent(delivery, OutcomeClass.CRASHED, now)
        elif not keys:
            self._end_unsent(delivery, OutcomeClass.SECRET, now)
        else:
            request, delivery.request_headers = signed_requests.sign(
                delivery.delivery_id, destination, keys, body, now=now
            )
            delivery.constant_headers = destination.logged_headers
            if delivery.is_suspect:
                self._isolated.append((delivery, request))
            else:
                self._send(delivery, request)

    def send_next_isolated(self) -> None:
        """Send the next suspect if none is in flight, so that its worker's death counts against it only.

        Raises errors of the database, and then keeps it.
        """
        if not self._isolated or any(each.is_suspect for each in self._in_flight.values()):
            return
        suspect, request = self._isolated[0]
        is_current = claims.begin_lease(self._databases.write, suspect, now=clock.now())
        self._isolated.popleft()
        if is_current:
            self._send(suspect, request)

    def _send(self, delivery: ClaimedDelivery, request: Request) -> None:
        key = delivery.key
        try:
            self._sender.start(key, request)
        except JobTimeout:
            raise
        except Exception:
            # It must not take the others along. Its lease expires as if its worker had died, and after some
            # expired leases it is given up.
            log.exception("request_refused", extra={"delivery_id": delivery.delivery_id})
            return
        self._in_flight[key] = delivery
        self._concurrency.start_request(delivery.endpoint_id)
        failpoints.hit_if_poisoned(request.body)

    def take_answers(self, wait_ms: int) -> None:
        """Work on what is in flight for up to `wait_ms`, and hand the outcomes that came to the buffer."""
        self._answers.extend(self._sender.poll(wait_ms))
        if not self._answers:
            return
        now = clock.now()
        while self._answers:
            key, outcome = self._answers.popleft()
            failpoints.hit("worker.answered")
            delivery = self._in_flight.pop(key)
            delivery.outcome = outcome
            delivery.decision = self._decide(delivery, outcome, now)
            if outcome.is_success and not outcome.reached_deadline:
                self._concurrency.end_request(delivery.endpoint_id)
            else:
                self._note_failure(delivery)
            if not self._postponed.take(delivery):
                self._outcomes.add(delivery)

    def _note_failure(self, delivery: ClaimedDelivery) -> None:
        kind, reached_deadline = delivery.outcome.kind, delivery.outcome.reached_deadline
        self._concurrency.end_request(
            delivery.endpoint_id,
            is_overloaded=reached_deadline or kind in _OVERLOADED,
            is_unresponsive=reached_deadline or kind in _UNRESPONSIVE,
        )
        if until := delivery.decision.pause_endpoint_until:
            self._pause_endpoint(delivery.endpoint_id, until)

    def _end_unsent(self, delivery: ClaimedDelivery, kind: OutcomeClass, now: datetime) -> None:
        """End an attempt for which no request is made."""
        delivery.request_headers = "[]"
        delivery.outcome = Outcome(kind)
        delivery.decision = self._decide(delivery, delivery.outcome, now)
        self._outcomes.add(delivery)

    def _decide(self, delivery: ClaimedDelivery, outcome: Outcome, now: datetime) -> RetryDecision:
        return decide(
            outcome,
            attempts_in_schedule=delivery.attempts_in_schedule + 1,
            delays=self._delays,
            chance=random.random(),
            now=now,
            scheduled_at=delivery.scheduled_at,
            is_test=delivery.is_test,
        )

    def drop_unsent(self) -> list[ClaimedDelivery]:
        """Return what was claimed and not sent, and forget it."""
        suspects = (delivery for delivery, _ in self._isolated)
        unsent = [*self._claimed, *self._unsendable.drop(), *suspects]
        self._claimed.clear()
        self._isolated.clear()
        return unsent

    def abandon(self) -> list[ClaimedDelivery]:
        """Abandon the requests in flight, whose outcomes will not be known; return their deliveries."""
        abandoned = list(self._in_flight.values())
        self._in_flight.clear()
        self._answers.clear()
        self._sender.abandon()
        for each in abandoned:
            self._concurrency.end_request(each.endpoint_id)
        return abandoned
