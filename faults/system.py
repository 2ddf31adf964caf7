"""One platform under test, with what a scenario wants to know of it."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from faults import journal
from faults.crash_report import TIMED_OUT
from faults.driver import Hands
from faults.harness import TooSlow, wait_for
from faults.processes import DELIVERY_WORKERS, IN_FLIGHT
from webhooks_app.db.models import Attempt, AuditEntry, Delivery, Event, PendingDelivery, Recovery
from webhooks_app.extensions import db

# A lost wake-up is made up for by the sweep: its flag lives 10 seconds, and the next sweep comes within 15.
SETTLE_SECONDS = 60.0


@dataclass(frozen=True)
class Line:
    """All that an outcome may change of a delivery that waits for its retry."""

    generation: int
    tries: int
    next_attempt_at: datetime
    claimed_at: datetime | None
    attempts: tuple[int, ...]  # the generations of those recorded


class Stack(Hands):
    def pending(self) -> int:
        return self._count(select(func.count()).select_from(PendingDelivery))

    def claimed(self) -> int:
        """How many deliveries are in some worker's hands."""
        held = select(func.count()).select_from(PendingDelivery)
        return self._count(held.where(PendingDelivery.claimed_at.is_not(None)))

    def _count(self, statement: Any) -> int:
        with self.app.app_context(), db.engine.connect() as connection:
            return int(connection.execute(statement).scalar_one())

    def note_kill(self) -> None:
        """Called just before a kill: what is claimed by anybody now may be sent once more."""
        claims = select(PendingDelivery.delivery_id, PendingDelivery.generation)
        try:
            with self.app.app_context(), db.engine.connect() as connection:
                rows = connection.execute(claims.where(PendingDelivery.claimed_at.is_not(None)))
                self.held_at_kills |= {(row.delivery_id, row.generation) for row in rows}
        except DBAPIError:
            self.held_unseen += IN_FLIGHT * DELIVERY_WORKERS

    def note_database_crash(self) -> None:
        """Called when the database goes without a last word to its disk, on which no worker waits."""
        self.claims_lost += IN_FLIGHT * DELIVERY_WORKERS

    @property
    def in_flight_at_kills(self) -> int:
        """How many sends there can be for which nothing was recorded."""
        said = {(name, generation) for line in self._words() for name, generation in line["held"]}
        return len(self.held_at_kills | said) + self.held_unseen

    def deaths(self) -> "Counter[str]":
        """Of this scenario, by the failpoint at which each died."""
        return Counter(line["at"] for line in self._words() if line["at"] != TIMED_OUT)

    def _words(self) -> Iterator[dict[str, Any]]:
        return journal.read(self.last_words, self.words_offset)

    def settle(self, seconds: float = SETTLE_SECONDS) -> float:
        """Waits until nothing is pending; how long it took. What then still is, the checker will name."""
        began = time.monotonic()
        with suppress(TooSlow):
            wait_for(lambda: self.pending() == 0, seconds, "everything settled")
        return time.monotonic() - began

    def pending_of(self, endpoint_id: str) -> int:
        mine = PendingDelivery.endpoint_id == endpoint_id
        return self._count(select(func.count()).select_from(PendingDelivery).where(mine))

    def ledger(self, endpoint_ids: list[str]) -> dict[str, Line]:
        """The pending deliveries to these endpoints."""
        row = PendingDelivery
        columns = (
            row.delivery_id,
            row.generation,
            row.attempts_in_schedule,
            row.next_attempt_at,
            row.claimed_at,
        )
        with self.app.app_context(), db.engine.connect() as connection:
            waiting = connection.execute(select(*columns).where(row.endpoint_id.in_(endpoint_ids))).all()
            recorded = connection.execute(select(Attempt.delivery_id, Attempt.generation)).all()
        attempts: dict[str, list[int]] = defaultdict(list)
        for delivery_id, generation in recorded:
            attempts[delivery_id].append(generation)
        return {each[0]: Line(*each[1:], tuple(sorted(attempts[each[0]]))) for each in waiting}

    def event_count(self) -> int:
        mine = Event.workspace_id == self.workspace_id
        return self._count(select(func.count()).select_from(Event).where(mine))

    def attempt_count(self) -> int:
        """Recorded ones of this scenario."""
        return self._count(select(func.coalesce(func.sum(Delivery.attempt_count), 0)).where(self._mine))

    def audit_count(self, action: str) -> int:
        mine = AuditEntry.workspace_id == self.workspace_id
        return self._count(select(func.count()).where(mine, AuditEntry.action == action))

    def recovery(self, recovery_id: str) -> Recovery:
        with self.app.app_context(), Session(db.engine, expire_on_commit=False) as session:
            return session.get_one(Recovery, recovery_id)

    def arrival_count(self) -> int:
        """Requests that the receiver read in this scenario."""
        return sum(1 for _ in self.arrivals())

    def arrivals(self) -> Iterator[dict[str, Any]]:
        lines = journal.read(self.receiver_journal, self.receiver_offset)
        return (line for line in lines if "answered" not in line)

    def refusals(self) -> int:
        """Events that producers got no 202 for."""
        return sum("error" in line for line in journal.read(self.journal))

    def outcomes(self) -> "Counter[str]":
        return Counter(self._column(Delivery.last_outcome, self._mine))

    def states_of(self, endpoint_id: str) -> dict[str, int]:
        found = self._column(Delivery.state, Delivery.endpoint_id == endpoint_id)
        return dict(Counter(state.value for state in found))

    def delivery_ids(self) -> list[str]:
        return self._column(Delivery.id, self._mine)

    def created_at(self) -> dict[str, datetime]:
        """When each delivery was accepted."""
        with self.app.app_context(), db.engine.connect() as connection:
            rows = connection.execute(select(Delivery.id, Delivery.created_at).where(self._mine))
            return {row.id: row.created_at for row in rows}

    def due_times(self) -> list[datetime]:
        return self._column(PendingDelivery.next_attempt_at, PendingDelivery.delivery_id.is_not(None))

    @property
    def _mine(self) -> Any:
        return Delivery.workspace_id == self.workspace_id

    def _column(self, column: Any, where: Any) -> list[Any]:
        with self.app.app_context(), db.engine.connect() as connection:
            return list(connection.execute(select(column).where(where)).scalars())
