"""The loop that keeps deliveries moving: claim, sign, send, record, until nothing is due."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine as Database
from sqlalchemy.exc import OperationalError

from webhooks_app import clock, failpoints, pending
from webhooks_app.databases import single
from webhooks_app.delivery import claims, messages, rates
from webhooks_app.delivery.claims import Claim, Lane
from webhooks_app.delivery.lanes import Lanes
from webhooks_app.delivery.messages import Destination, Destinations
from webhooks_app.delivery.recording import Finished, record
from webhooks_app.delivery.windows import Windows
from webhooks_app.encryption import Cipher
from webhooks_app.outcomes import Outcome, OutcomeClass
from webhooks_app.queue import WakeUps
from webhooks_app.transport import Request, Sender

log = logging.getLogger(__name__)

# A batch is written when it is this large or its oldest outcome this old: one transaction for many rows
# under load, hardly any delay without it.
BATCH_SIZE = 250
BATCH_AGE_SECONDS = 0.03
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
# A database that restarts is back within this; past it the leases take over.
RECORD_TRIES = 8

# An endpoint that answers, whatever it says, can bear its window; these say that it cannot.
_OVERLOAD = frozenset(
    {
        OutcomeClass.TIMEOUT,
        OutcomeClass.CONNECT,
        OutcomeClass.CONNECTION_LOST,
        OutcomeClass.DNS,
        OutcomeClass.TLS,
        OutcomeClass.HTTP_429,
        OutcomeClass.HTTP_5XX,
    }
)


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
class Tally:
    """What one run did."""

    claimed: int
    recorded: int


class Engine:
    """One per worker process: keeps connections and windows from one job to the next."""

    def __init__(
        self,
        *,
        database: Database,
        sender: Sender,
        cipher: Cipher,
        wake_ups: WakeUps,
        delays: tuple[float, ...],
        lease: timedelta,
    ) -> None:
        self._database = database
        self._reader = single(database)
        self._sender = sender
        self._destinations = Destinations(cipher)
        self._wake_ups = wake_ups
        self._delays = delays
        self._lease = lease
        self._windows = Windows(sender.free)
        self._lanes = Lanes()
        self._is_asked = False
        self._looked_at = self._look_seconds = self._claimed_at = self._idle_since = 0.0
        self._flying: dict[tuple[str, int], _Sent] = {}
        self._alone: deque[_Ready] = deque()
        self._batch: list[Finished] = []
        self._batch_since = 0.0
        self._claimed = self._recorded = 0

    def run(self, *, seconds: float, should_stop: Callable[[], bool] = lambda: False) -> Tally:
        """Delivers what is due until nothing is, `seconds` have passed, or it is told to stop.

        Whatever happens, nothing is lost: what is claimed and not recorded falls due again with its lease.
        """
        self._claimed = self._recorded = 0
        self._windows.forget_idle()
        self._lanes = Lanes()
        self._wake_ups.begin()
        self._look()
        self._claim()
        deadline = time.monotonic() + seconds
        while self._is_worth_staying and time.monotonic() < deadline and not should_stop():
            self._take_outcomes(POLL_MS)
            self._record_if_ripe()
            self._send_one_alone()
            self._look_or_claim()
        expects_more = bool(self._lanes or self._alone or self._is_asked)
        self._finish(should_stop)
        self._wake_ups.end(expects_more=expects_more)
        return Tally(self._claimed, self._recorded)

    @property
    def _is_worth_staying(self) -> bool:
        """True while there is work and shortly after: the next event is then met without a job."""
        if self._has_work:
            self._idle_since = time.monotonic()
        return time.monotonic() - self._idle_since < LINGER_SECONDS

    @property
    def _has_work(self) -> bool:
        return bool(self._flying or self._batch or self._alone or self._lanes or self._is_asked)

    def _finish(self, should_stop: Callable[[], bool]) -> None:
        """Waits for what is in flight; on a stop only shortly, and hands back the rest."""
        grace = time.monotonic() + STOP_GRACE_SECONDS
        while self._flying and not (should_stop() and time.monotonic() > grace):
            self._take_outcomes(POLL_MS)
            self._record_if_ripe()
        self._record()
        self._hand_back()

    def _hand_back(self) -> None:
        """Gives up what was not answered in time, so that another worker sends it at once."""
        left = [sent.claim for sent in self._flying.values()]
        claims.hand_back(
            self._database, [*left, *(ready.sent.claim for ready in self._alone)], now=clock.now()
        )
        self._alone.clear()
        self._flying.clear()
        self._sender.abandon()
        for claim in left:
            self._windows.answered(claim.endpoint_id, healthy=True)

    def _look_or_claim(self) -> None:
        """Looks where there may be news, and claims where that is worth its price."""
        self._is_asked = self._wake_ups.is_asked() or self._is_asked
        due = self._lanes.due(clock.now())
        if self._is_time_to_look(due):
            self._look()
            self._claim()
        elif self._is_claim_worthwhile(due):
            self._claim()
        elif not self._flying:
            time.sleep(IDLE_SECONDS)

    def _is_time_to_look(self, due: dict[str, Lane]) -> bool:
        since = time.monotonic() - self._looked_at
        if since > LOOK_AGAIN_SECONDS:
            return True
        if self._is_asked and (not due or since > LOOK_REST * self._look_seconds):
            return True
        free = self._sender.free
        return self._lanes.has_more and free > 0 and not self._windows.have_room(due, free)

    def _is_claim_worthwhile(self, due: dict[str, Lane]) -> bool:
        is_pressing = not self._flying or time.monotonic() - self._claimed_at > CLAIM_PAUSE_SECONDS
        wanted = 1 if is_pressing else WORTHWHILE_CLAIM
        return self._sender.free >= wanted and self._windows.have_room(due, wanted)

    def _look(self) -> None:
        """Finds the endpoints of the next stretch of which something is due."""
        self._looked_at, self._is_asked = time.monotonic(), False
        now = clock.now()
        with self._reader.connect() as connection:
            lanes = claims.lanes(connection, after=self._lanes.cursor)
        self._lanes.saw(lanes, is_end=len(lanes) < claims.LANES_PER_LOOK, now=now)
        self._look_seconds = time.monotonic() - self._looked_at

    def _claim(self) -> None:
        """Claims and starts what there is room for."""
        self._claimed_at = time.monotonic()
        lanes = self._lanes.due(clock.now())
        rooms = self._windows.rooms(lanes, self._sender.free)
        if not rooms:
            return
        limits = {name: rate for name in rooms if (rate := lanes[name].rate_per_second)}
        with self._database.begin() as connection:
            now = clock.now()  # only here, or the wait for SQLite's lock would be taken off the lease
            rooms = rates.reserve(connection, rooms, limits, now=now)
            taken = claims.take(connection, rooms, now=now, lease=self._lease)
            free_at = rates.spend(connection, taken, limits, now=now)
        self._lanes.claimed(rooms, taken)
        self._lanes.wait(free_at)
        if not taken:
            return
        with self._reader.connect() as connection:
            destinations = self._destinations.load(connection, {claim.endpoint_id for claim in taken})
            bodies = messages.bodies(connection, {claim.event_id for claim in taken})
        self._start(taken, destinations, bodies, now)

    def _start(
        self,
        taken: list[Claim],
        destinations: dict[str, Destination],
        bodies: dict[str, bytes],
        now: datetime,
    ) -> None:
        failpoints.hit("worker.claimed")
        self._claimed += len(taken)
        shut: list[Claim] = []
        suspects: list[_Ready] = []
        for claim in taken:
            destination = destinations[claim.endpoint_id]
            keys = destination.keys_at(now)
            if destination.shut is not None:
                shut.append(claim)
            elif claim.lapses >= LAPSES_TO_GIVE_UP:
                self._keep(Finished(claim, now, "[]", Outcome(OutcomeClass.CRASHED)))
            elif not keys:
                self._keep(Finished(claim, now, "[]", Outcome(OutcomeClass.SECRET)))
            else:
                request, headers = messages.sign(claim, destination, keys, bodies[claim.event_id], now=now)
                ready = _Ready(_Sent(claim, now, headers), request)
                if claim.lapses < claims.LAPSES_TO_SEND_ALONE:
                    self._send(ready)
                else:
                    suspects.append(ready)
        if shut:
            self._set_aside(shut, now)
        if suspects:
            self._alone.extend(suspects)

    def _set_aside(self, shut: list[Claim], now: datetime) -> None:
        """Holds or cancels what somebody committed who still saw the endpoint enabled."""
        with self._database.begin() as connection:
            states = messages.shut(connection, {claim.endpoint_id for claim in shut})
            for state in set(states.values()):
                mine = [claim for claim in shut if states.get(claim.endpoint_id) is state]
                pending.leave(
                    connection, [(claim.delivery_id, claim.generation) for claim in mine], state, now=now
                )
        open_again = [claim for claim in shut if claim.endpoint_id not in states]
        claims.hand_back(self._database, open_again, now=now)
        self._is_asked |= bool(open_again)

    def _send_one_alone(self) -> None:
        """Sends the next suspect when none is in flight; its worker's death counts against it alone."""
        if not self._alone or any(
            sent.claim.lapses >= claims.LAPSES_TO_SEND_ALONE for sent in self._flying.values()
        ):
            return
        ready = self._alone.popleft()
        if claims.mark(self._database, ready.sent.claim, now=clock.now()):
            self._send(ready)

    def _send(self, ready: _Ready) -> None:
        claim = ready.sent.claim
        key = (claim.delivery_id, claim.generation)
        self._flying[key] = ready.sent
        self._windows.sent(claim.endpoint_id)
        self._sender.start(key, ready.request)
        failpoints.swallow(ready.request.body)

    def _take_outcomes(self, wait_ms: int) -> None:
        for key, outcome in self._sender.poll(wait_ms):
            failpoints.hit("worker.answered")
            sent = self._flying.pop(key)
            self._windows.answered(sent.claim.endpoint_id, healthy=outcome.kind not in _OVERLOAD)
            self._keep(Finished(sent.claim, sent.started_at, sent.request_headers, outcome))

    def _keep(self, finished: Finished) -> None:
        if not self._batch:
            self._batch_since = time.monotonic()
        self._batch.append(finished)

    def _record_if_ripe(self) -> None:
        if not self._batch:
            return
        age = time.monotonic() - self._batch_since
        is_ripe = len(self._batch) >= BATCH_SIZE or age >= BATCH_AGE_SECONDS or not self._flying
        # A suspect's outcome is written at once: the next death of this worker must not count against it.
        if is_ripe or self._batch[-1].claim.lapses >= claims.LAPSES_TO_SEND_ALONE:
            self._record()

    def _record(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        failpoints.hit("worker.recording")
        due = self._record_patiently(batch)
        failpoints.hit("worker.recorded")
        self._recorded += len(batch)
        if due:
            self._wake_ups.at(due)

    def _record_patiently(self, batch: list[Finished]) -> list[datetime]:
        for turn in range(RECORD_TRIES):
            try:
                return record(self._database, batch, delays=self._delays, now=clock.now())
            except OperationalError as error:
                log.warning("record_failed", extra={"turn": turn, "error": type(error.orig).__name__})
                if turn == RECORD_TRIES - 1:
                    raise
                time.sleep(0.05 * 2**turn)
        raise AssertionError("unreachable")
