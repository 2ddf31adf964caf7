"""Insert the rest of large fan-outs, piece by piece, each continuing after the last one committed."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from webhooks_app.core import clock, failpoints
from webhooks_app.db.engines import Databases, ReadDatabase, WriteDatabase
from webhooks_app.db.models import DeliveryState, Endpoint, EndpointState, Event, FanOut
from webhooks_app.db.transient_errors import tolerate_unavailable_database
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints import destinations
from webhooks_app.events import fan_out_plan
from webhooks_app.events.fan_out import DEFAULT_LIMITS, FanOutLimits, Rest, insert_deliveries
from webhooks_app.events.fan_out_plan import PlannedDelivery
from webhooks_app.jobs.wake_ups import WakeUps

log = logging.getLogger(__name__)


def insert_rest(
    database: WriteDatabase, wake_ups: WakeUps, rest: Rest, *, limits: FanOutLimits = DEFAULT_LIMITS
) -> None:
    """Insert a rest that the caller has just committed.

    Where the database cannot serve just now, a worker inserts it later; its events are accepted.
    """
    with tolerate_unavailable_database(log, fan_out=rest.id):
        _insert_pieces(database, wake_ups, rest, lambda: False, limits)


class FanOutThread:
    """One per process: goes on with one rest after the other, beside whoever accepts the next events."""

    def __init__(self, database: WriteDatabase, wake_ups: WakeUps) -> None:
        self._database = database
        self._wake_ups = wake_ups
        self._lock = threading.Lock()
        self._rests: deque[Rest] = deque()
        self._is_running = False

    def add(self, rest: Rest) -> None:
        """Have the rest inserted soon; should this process end before, a worker takes it over."""
        with self._lock:
            self._rests.append(rest)
            if self._is_running:
                return
            self._is_running = True
        # Not before there is work: a process that forks others must have no threads.
        thread = threading.Thread(target=self._run, name="fan_out", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # none is to be had: a worker takes over what is recorded
            log.exception("fan_out_failed", extra={"fan_out_id": rest.id})
            with self._lock:
                self._rests.clear()
                self._is_running = False

    def _run(self) -> None:
        while (rest := self._take()) is not None:
            try:
                insert_rest(self._database, self._wake_ups, rest)
            except Exception:  # the next one must go on
                log.exception("fan_out_failed", extra={"fan_out_id": rest.id})

    def _take(self) -> Rest | None:
        with self._lock:
            self._is_running = bool(self._rests)
            return self._rests.popleft() if self._rests else None


def is_any_left(database: ReadDatabase, *, now: datetime) -> bool:
    """Return whether there is a rest that nobody works on."""
    with database.connect() as connection:
        return _next_left(connection, now) is not None


def run_all(
    databases: Databases,
    wake_ups: WakeUps,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    limits: FanOutLimits = DEFAULT_LIMITS,
) -> None:
    """Work on every rest that nobody works on, until there is none or it is told to stop."""
    while not should_stop():
        with databases.read.connect() as connection:
            rest = _next_left(connection, clock.now())
        if rest is None:
            return
        log.info("fanning_out", extra={"fan_out_id": rest.id, "position": rest.position})
        _insert_pieces(databases.write, wake_ups, rest, should_stop, limits)


def remaining(connection: Connection, event_ids: Collection[str]) -> dict[str, int]:
    """Return how many deliveries each of the events is still to get."""
    rests = connection.execute(select(FanOut.plan, FanOut.position)).all()
    plans = [(fan_out_plan.from_json(row.plan), row.position) for row in rests]
    return {each: sum(plan.remaining(each, position) for plan, position in plans) for each in event_ids}


def unfinished_events(connection: Connection, *, created_before: datetime) -> set[str]:
    """Return the events of fan-outs that began before and are not at their end: few, as one takes seconds."""
    rests = connection.execute(
        select(FanOut.plan, FanOut.position).where(FanOut.created_at < created_before)
    ).all()
    return {each for row in rests for each in fan_out_plan.from_json(row.plan).events_from(row.position)}


def _next_left(connection: Connection, now: datetime) -> Rest | None:
    columns = FanOut.id, FanOut.plan, FanOut.position, FanOut.created_at
    left = select(*columns).where(FanOut.taken_until <= now).order_by(FanOut.id)
    row = connection.execute(left.limit(1)).first()
    return Rest(row.id, fan_out_plan.from_json(row.plan), row.position, row.created_at) if row else None


def _insert_pieces(
    database: WriteDatabase,
    wake_ups: WakeUps,
    rest: Rest,
    should_stop: Callable[[], bool],
    limits: FanOutLimits,
) -> None:
    """Insert piece by piece, until all is inserted, it is told to stop, or another process goes on."""
    total, size, seconds = rest.plan.total(), limits.smallest_piece, 0.0
    while rest.position < total and not should_stop():
        if database.has_one_writer:
            time.sleep(max(limits.pause_seconds, seconds / 2))
        piece = rest.plan.slice(rest.position, size)
        with database.begin() as connection:
            began = time.monotonic()
            if not _move(connection, rest, len(piece), total, limits):
                return
            is_due = _insert(connection, piece, rest.created_at)
            failpoints.hit("accept.fanning_out")
        rest.position += len(piece)
        seconds = time.monotonic() - began
        size = _next_size(size, seconds, limits)
        failpoints.hit("accept.fanned_out")
        if is_due:
            wake_ups.wake_worker()


def _next_size(size: int, seconds: float, limits: FanOutLimits) -> int:
    if seconds > limits.piece_seconds:
        return max(limits.smallest_piece, size // 2)
    return min(limits.largest_piece, size * 2) if seconds < limits.piece_seconds / 2 else size


def _move(connection: WriteConnection, rest: Rest, count: int, total: int, limits: FanOutLimits) -> bool:
    """Move the position by `count`, or end the rest; return False where it does not stand where it should."""
    is_there = FanOut.id == rest.id, FanOut.position == rest.position
    if rest.position + count == total:
        return connection.execute(delete(FanOut).where(*is_there)).rowcount == 1
    moved: dict[str, Any] = {
        "position": rest.position + count,
        "taken_until": clock.now() + timedelta(seconds=limits.lease_seconds),
    }
    return connection.execute(update(FanOut).where(*is_there).values(moved)).rowcount == 1


def _insert(connection: WriteConnection, piece: Sequence[PlannedDelivery], created_at: datetime) -> bool:
    """Insert the deliveries of the piece whose event and endpoint still exist; return whether any is due."""
    events = _existing_events(connection, {each.event_id for each in piece})
    endpoints, states = _endpoints(connection, {each.endpoint_id for each in piece})
    left = [each for each in piece if each.event_id in events and each.endpoint_id in endpoints]
    return insert_deliveries(connection, left, states, created_at=created_at, due_at=clock.now())


def _existing_events(connection: WriteConnection, named: set[str]) -> set[str]:
    # Locked until the deliveries are committed, so that retention does not remove one meanwhile.
    present = select(Event.id).where(Event.id.in_(named), Event.payload_erased_at.is_(None))
    locked = present.order_by(Event.id)
    locked = locked.with_for_update(read=True, key_share=True)
    return set(connection.scalars(locked))


def _endpoints(connection: WriteConnection, named: set[str]) -> tuple[set[str], dict[str, DeliveryState]]:
    """Return which of the endpoints exist, and the states of deliveries to those that accept none now."""
    columns = Endpoint.id, Endpoint.state, Endpoint.deleted_at
    locked = select(*columns).where(Endpoint.id.in_(named)).with_for_update(read=True, key_share=True)
    rows = connection.execute(locked.order_by(Endpoint.id)).all()
    closed = {row.id for row in rows if row.state is EndpointState.DISABLED or row.deleted_at is not None}
    states = destinations.not_accepting(connection, closed) if closed else {}
    return {row.id for row in rows}, states
