"""The loop that keeps deliveries moving: claim, sign, send, record, until nothing is due."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import OperationalError

from webhooks_app.core import clock, failpoints
from webhooks_app.core.encryption import Cipher
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import Databases
from webhooks_app.endpoints import destinations
from webhooks_app.endpoints.destinations import Destination, Destinations
from webhooks_app.jobs.wake_ups import JobTimeout, WakeUps
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.worker import claims, rate_limits, signed_requests
from webhooks_app.worker.claims import Claim, DueEndpoint, Key
from webhooks_app.worker.concurrency import Concurrency
from webhooks_app.worker.due_endpoints import DueEndpoints
from webhooks_app.worker.outcome_buffer import OutcomeBuffer
from webhooks_app.worker.recording import Finished
from webhooks_app.worker.retry_decision import pause

log = logging.getLogger(__name__)

# Top up a busy endpoint by this many at least, or after the pause; smaller claims cost more than they bring.
WORTHWHILE_CLAIM = 128
CLAIM_PAUSE_SECONDS = 0.02
# While requests are in flight, what falls due by time alone is looked for this often.
LOOK_AGAIN_SECONDS = 0.25
# While something is known to be due, news waits for so many times what the last look took.
LOOK_REST = 4
POLL_MS = 4
# After the last work a run waits this long for more, which costs less than the job it saves.
LINGER_SECONDS = 0.1
IDLE_SECONDS = 0.002
# Two deaths of its worker among others, six alone. Three alone gave up one innocent of 15,000 while something
# else killed each worker after a second or two; six in a row come about once in 500 such storms.
LAPSES_TO_GIVE_UP = claims.LAPSES_TO_SEND_ALONE + 6
# Supervisors kill five to ten seconds after they ask; what is not answered by then is handed back.
STOP_GRACE_SECONDS = 3.0
# While the database does not answer it is asked again after this, and after twice as long each time.
REST_SECONDS = 0.25
LONGEST_REST_SECONDS = 2.0

# An endpoint that gives none of these answers can bear its window; one that is mute holds its slots as well.
_MUTE = frozenset(
    {
        OutcomeClass.TIMEOUT,
        OutcomeClass.CONNECT,
        OutcomeClass.CONNECTION_LOST,
        OutcomeClass.DNS,
        OutcomeClass.TLS,
    }
)
_OVERLOAD = _MUTE | {OutcomeClass.HTTP_429, OutcomeClass.HTTP_5XX}


@dataclass(slots=True, frozen=True)
class _Sent:
    claim: Claim
    started_at: datetime
    request_headers: str


@dataclass(slots=True, frozen=True)
class _Ready:
    sent: _Sent
    request: Request


@dataclass(slots=True, frozen=True)
class RunResult:
    """What one run did."""

    claimed: int
    recorded: int


class DeliveryEngine:
    """One per worker process: keeps connections and windows from one job to the next."""

    def __init__(
        self,
        *,
        databases: Databases,
        sender: Sender,
        cipher: Cipher,
        wake_ups: WakeUps,
        delays: tuple[float, ...],
        lease: timedelta,
    ) -> None:
        # Answers are not read while it waits for SQLite's lock.
        self._database = database = databases.write.with_short_lock_timeout()
        self._reader = databases.read
        self._sender = sender
        self._destinations = Destinations(cipher)
        self._wake_ups = wake_ups
        self._lease = lease
        self._windows = Concurrency(sender.free)
        self._lanes = DueEndpoints()
        self._is_asked = False
        self._looked_at = self._look_seconds = self._claimed_at = self._idle_since = 0.0
        self._taken: deque[Claim] = deque()  # claimed, and no more than that
        self._shut: list[Claim] = []  # of endpoints that take none
        self._alone: deque[_Ready] = deque()
        self._flying: dict[Key, _Sent] = {}
        self._batch = OutcomeBuffer(database, wake_ups, delays=delays, lease=lease)
        self._rests_until, self._rest_seconds = 0.0, REST_SECONDS
        self._claimed = 0

    def run(self, *, seconds: float, should_stop: Callable[[], bool] = lambda: False) -> RunResult:
        """Delivers what is due until nothing is, `seconds` have passed, or it is told to stop.

        What is in flight when its time is over stays so, for `carry_on` and the next run. Whatever happens,
        nothing is lost: what is claimed and not recorded falls due again with its lease.
        """
        self._claimed, recorded = 0, self._batch.recorded
        self._windows.forget_idle()
        self._lanes = DueEndpoints()
        self._wake_ups.begin()
        self._is_asked, expects_more = True, False
        self._idle_since = time.monotonic()
        deadline = time.monotonic() + seconds
        try:
            while self._is_worth_staying and time.monotonic() < deadline and not should_stop():
                self._work_on(self._move_on)
            self._hand_back([])
            expects_more = self._has_work
        finally:
            self._wake_ups.end(expects_more=expects_more)
        if should_stop():
            self.wind_up()
        return RunResult(self._claimed, self._batch.recorded - recorded)

    def carry_on(self) -> bool:
        """Works for some milliseconds on what a run left in flight, if any, and claims nothing."""
        if not self._flying and not self._batch:
            return False
        self._work_on(self._write_if_ripe)
        return True

    def wind_up(self) -> None:
        """For the end of a process: waits shortly for what is in flight and hands back the rest."""
        grace = time.monotonic() + STOP_GRACE_SECONDS
        while (self._flying or self._batch) and time.monotonic() < grace:
            self.carry_on()
        left = [sent.claim for sent in self._flying.values()]
        self._flying.clear()
        self._sender.abandon()
        for claim in left:
            self._windows.answered(claim.endpoint_id, healthy=True)
        self._hand_back(left)

    @property
    def _is_worth_staying(self) -> bool:
        """True while there is work and shortly after: the next event is then met without a job."""
        if self._has_work:
            self._idle_since = time.monotonic()
        return time.monotonic() - self._idle_since < LINGER_SECONDS

    @property
    def _has_work(self) -> bool:
        waiting = self._taken or self._shut or self._alone or self._lanes or self._is_asked
        return bool(self._flying or self._batch or waiting)

    def _hand_back(self, left: list[Claim]) -> None:
        """Gives up `left` and what was not sent at all, so that another worker sends it at once."""
        waiting = [*self._taken, *self._shut, *(ready.sent.claim for ready in self._alone)]
        for some in (self._taken, self._shut, self._alone):
            some.clear()
        if left or waiting:
            self._try(lambda: claims.release(self._database, [*left, *waiting], now=clock.now()))
            self._wake_ups.now()

    def _work_on(self, act: Callable[[], None]) -> None:
        self._take_outcomes(POLL_MS)
        if not self._try(act) and not self._flying:
            time.sleep(IDLE_SECONDS)

    def _move_on(self) -> None:
        self._write_if_ripe()
        self._start()
        self._set_aside()
        self._send_one_alone()
        self._look_or_claim()

    def _try(self, act: Callable[[], None]) -> bool:
        """Does it, unless the database did not answer a moment ago; whether it answered.

        What is in flight goes on meanwhile: its answers come whether they can be written or not.
        """
        if time.monotonic() < self._rests_until:
            return False
        try:
            act()
        except OperationalError as error:
            log.warning("database_unavailable", extra={"error": type(error.orig).__name__})
            self._rests_until = time.monotonic() + self._rest_seconds
            self._rest_seconds = min(LONGEST_REST_SECONDS, 2 * self._rest_seconds)
            return False
        self._rest_seconds = REST_SECONDS
        return True

    def _look_or_claim(self) -> None:
        """Looks where there may be news, and claims where that is worth its price."""
        due = self._lanes.due(clock.now())
        self._wake_ups.stay_awake()
        if self._sender.free > 0:
            self._is_asked = self._wake_ups.is_asked() or self._is_asked
        elif self._windows.have_room(due, 1):
            self._wake_ups.another()  # which then hears of the news as well
        if self._is_time_to_look(due):
            self._look()
            self._claim()
        elif self._is_claim_worthwhile(due):
            self._claim()
        elif not self._flying:
            time.sleep(IDLE_SECONDS)

    def _is_time_to_look(self, due: dict[str, DueEndpoint]) -> bool:
        since = time.monotonic() - self._looked_at
        if since > LOOK_AGAIN_SECONDS:
            return True
        if self._is_asked and (not due or since > LOOK_REST * self._look_seconds):
            return True
        free = self._sender.free
        return self._lanes.has_more and free > 0 and not self._windows.have_room(due, free)

    def _is_claim_worthwhile(self, due: dict[str, DueEndpoint]) -> bool:
        is_pressing = not self._flying or time.monotonic() - self._claimed_at > CLAIM_PAUSE_SECONDS
        wanted = 1 if is_pressing else WORTHWHILE_CLAIM
        return self._sender.free >= wanted and self._windows.have_room(due, wanted)

    def _look(self) -> None:
        """Finds the endpoints of the next stretch of which something is due."""
        self._looked_at, now = time.monotonic(), clock.now()
        is_first = self._lanes.cursor == ""
        with self._reader.connect_autocommit() as connection:
            lanes = claims.scan(connection, after=self._lanes.cursor)
        self._lanes.saw(lanes, is_end=len(lanes) < claims.LANES_PER_LOOK, now=now)
        self._look_seconds = time.monotonic() - self._looked_at
        if is_first:  # in the middle of a round, news may be of what is behind, and is for the next one
            self._is_asked = False

    def _claim(self) -> None:
        """Claims and starts what there is room for."""
        self._claimed_at = time.monotonic()
        lanes = self._lanes.due(clock.now())
        rooms = self._windows.rooms(lanes, self._sender.free)
        if not rooms:
            if self._windows.have_room(lanes, 1):
                self._wake_ups.another()
            return
        limits = {name: rate for name in rooms if (rate := lanes[name].rate_per_second)}
        with self._database.begin() as connection:
            now = clock.now()  # only here, or the wait for SQLite's lock would be taken off the lease
            rooms = rate_limits.reserve(connection, rooms, limits, now=now)
            taken = claims.take(connection, rooms, now=now, lease=self._lease)
            free_at = rate_limits.spend(connection, taken, limits, now=now)
        self._lanes.claimed(rooms, taken)
        self._lanes.wait(free_at)
        self._claimed += len(taken)
        self._taken.extend(taken)
        self._start()

    def _start(self) -> None:
        """Sends what was claimed; what can be sent by nobody is settled."""
        if not self._taken:
            return
        with self._reader.connect_autocommit() as connection:
            by_endpoint = self._destinations.load(connection, {claim.endpoint_id for claim in self._taken})
            bodies = signed_requests.bodies(connection, {claim.event_id for claim in self._taken})
        failpoints.hit("worker.claimed")
        now = clock.now()
        while self._taken:
            claim = self._taken.popleft()
            self._start_one(claim, by_endpoint[claim.endpoint_id], bodies[claim.event_id], now)

    def _start_one(self, claim: Claim, destination: Destination, body: bytes, now: datetime) -> None:
        keys = destination.keys_at(now)
        if destination.not_accepting is not None:
            self._shut.append(claim)
        elif claim.lapses >= LAPSES_TO_GIVE_UP:
            self._batch.add(Finished(claim, now, "[]", Outcome(OutcomeClass.CRASHED)))
        elif not keys:
            self._batch.add(Finished(claim, now, "[]", Outcome(OutcomeClass.SECRET)))
        else:
            request, headers = signed_requests.sign(claim, destination, keys, body, now=now)
            ready = _Ready(_Sent(claim, now, headers), request)
            if claim.lapses < claims.LAPSES_TO_SEND_ALONE:
                self._send(ready)
            else:
                self._alone.append(ready)

    def _set_aside(self) -> None:
        """Holds or cancels what somebody committed who still saw the endpoint enabled."""
        if not self._shut:
            return
        now = clock.now()
        with self._database.begin() as connection:
            states = destinations.not_accepting(connection, {claim.endpoint_id for claim in self._shut})
            for state in set(states.values()):
                mine = [claim for claim in self._shut if states.get(claim.endpoint_id) is state]
                delivery_queue.remove(connection, [claim.key for claim in mine], state, now=now)
        open_again = [claim for claim in self._shut if claim.endpoint_id not in states]
        claims.release(self._database, open_again, now=now)
        self._shut.clear()
        self._is_asked |= bool(open_again)

    def _send_one_alone(self) -> None:
        """Sends the next suspect when none is in flight; its worker's death counts against it alone."""
        if not self._alone or any(
            sent.claim.lapses >= claims.LAPSES_TO_SEND_ALONE for sent in self._flying.values()
        ):
            return
        ready = self._alone[0]
        is_current = claims.mark_claimed(self._database, ready.sent.claim, now=clock.now())
        self._alone.popleft()
        if is_current:
            self._send(ready)

    def _send(self, ready: _Ready) -> None:
        try:
            self._sender.start(ready.sent.claim.key, ready.request)
        except JobTimeout:
            raise
        except Exception:
            # It must not take the others along. As if its worker had died, its lease runs out, and after some
            # such ends it is given up.
            log.exception("request_refused", extra={"delivery_id": ready.sent.claim.delivery_id})
            return
        self._flying[ready.sent.claim.key] = ready.sent
        self._windows.sent(ready.sent.claim.endpoint_id)
        failpoints.swallow(ready.request.body)

    def _take_outcomes(self, wait_ms: int) -> None:
        for key, outcome in self._sender.poll(wait_ms):
            failpoints.hit("worker.answered")
            sent = self._flying.pop(key)
            if outcome.is_success:
                self._windows.answered(sent.claim.endpoint_id, healthy=True)
            else:
                self._note_trouble(sent.claim.endpoint_id, outcome)
            self._batch.add(Finished(sent.claim, sent.started_at, sent.request_headers, outcome))

    def _note_trouble(self, endpoint_id: str, outcome: Outcome) -> None:
        kind = outcome.kind
        self._windows.answered(endpoint_id, healthy=kind not in _OVERLOAD, mute=kind in _MUTE)
        if until := pause(outcome, now=clock.now()):
            self._lanes.wait({endpoint_id: until})

    def _write_if_ripe(self) -> None:
        # A suspect's outcome is written at once: the next death of this worker must not count against it.
        if self._batch and (
            self._batch.is_ripe
            or not self._flying
            or self._batch.newest.claim.lapses >= claims.LAPSES_TO_SEND_ALONE
        ):
            self._batch.write()
