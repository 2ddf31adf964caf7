"""The system under test: the platform that scenarios drive, and what they ask of its rows and journals."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute, Session

from faults import journal
from faults.crash_report import LEASE_ENDED, TIMED_OUT
from faults.driver import Driver
from faults.platform_processes import DELIVERY_WORKERS, IN_FLIGHT
from faults.waiting import WaitTimeout, wait_for
from webhooks_app.db.models import Attempt, AuditEntry, Delivery, Event, FanOut, PendingDelivery, Recovery
from webhooks_app.extensions import db

# The sweep makes up for a lost wake-up: its flag expires after 10 seconds, the next sweep comes within 15.
SETTLE_SECONDS = 60.0

T = TypeVar("T")


@dataclass(frozen=True)
class PendingRow:
    """Everything of a pending delivery that the outcome of an attempt may change."""

    generation: int
    attempts_in_schedule: int
    next_attempt_at: datetime
    claimed_at: datetime | None
    attempts: tuple[int, ...]  # the generations of those recorded


class System(Driver):
    """The driven platform, and queries for what is pending, recorded and arrived."""

    def pending(self) -> int:
        """Count the pending deliveries of all workspaces."""
        return self._count(select(func.count()).select_from(PendingDelivery))

    def claimed(self) -> int:
        """Count the deliveries that some worker has claimed."""
        pending = select(func.count()).select_from(PendingDelivery)
        return self._count(pending.where(PendingDelivery.claimed_at.is_not(None)))

    def _count(self, statement: Select[int]) -> int:
        with self.app.app_context(), db.engine.connect() as connection:
            return int(connection.execute(statement).scalar_one())

    def note_claims(self) -> None:
        """Note what is claimed just before a kill, as it may be sent once more."""
        claims = select(PendingDelivery.delivery_id, PendingDelivery.generation)
        try:
            with self.app.app_context(), db.engine.connect() as connection:
                rows = connection.execute(claims.where(PendingDelivery.claimed_at.is_not(None)))
                self.claims_at_kills |= {(row.delivery_id, row.generation) for row in rows}
        except DBAPIError:
            self.claims_unseen += IN_FLIGHT * DELIVERY_WORKERS

    def note_database_crash(self) -> None:
        """Allow for claims that a crash of the database undoes, as workers do not wait for its disk."""
        self.claims_lost += IN_FLIGHT * DELIVERY_WORKERS

    def unrecorded_at_kills(self) -> "Counter[str]":
        """Count the claims of each delivery that were sent and not recorded, or may have been, at a kill."""
        reported = {
            claim
            for line in self._crash_reports()
            if self.excuses_ended_leases or line["at"] != LEASE_ENDED
            for claim in _unrecorded(line)
        }
        return Counter(delivery_id for delivery_id, _ in self.claims_at_kills | reported)

    def deaths(self) -> "Counter[str]":
        """Count the processes that were killed at a failpoint in this scenario, by failpoint."""
        return Counter(
            line["at"] for line in self._crash_reports() if line["at"] not in {TIMED_OUT, LEASE_ENDED}
        )

    def leases_ended(self) -> set[tuple[str, int]]:
        """Return the claims whose leases had ended when their outcomes came: delivery and generation."""
        ended = (line for line in self._crash_reports() if line["at"] == LEASE_ENDED)
        return {claim for line in ended for claim in _unrecorded(line)}

    def events_killed(self, failpoint: str) -> list[set[str]]:
        """Return the ids of the events that each process was accepting when it was killed at `failpoint`."""
        return [set(line["events"]) for line in self._crash_reports() if line["at"] == failpoint]

    def stored(self, event_ids: set[str]) -> set[str]:
        """Return those of the events that are in the database."""
        with self.app.app_context(), db.engine.connect() as connection:
            return set(connection.scalars(select(Event.id).where(Event.id.in_(event_ids))))

    def _crash_reports(self) -> Iterator[dict[str, Any]]:
        return journal.read(self.crash_reports, self.crash_reports_offset)

    def fan_outs(self) -> int:
        """Count the batches that are accepted and not yet fanned out."""
        return self._count(select(func.count()).select_from(FanOut))

    def settle(self, seconds: float = SETTLE_SECONDS) -> float:
        """Wait until nothing is pending or to be fanned out, at most `seconds`, and return how many it took.

        What is still pending then is the checker's to report.
        """
        began = time.monotonic()
        with suppress(WaitTimeout):
            wait_for(lambda: self.fan_outs() == 0 and self.pending() == 0, seconds, "no pending delivery")
        return time.monotonic() - began

    def pending_of(self, endpoint_id: str) -> int:
        is_to_endpoint = PendingDelivery.endpoint_id == endpoint_id
        return self._count(select(func.count()).select_from(PendingDelivery).where(is_to_endpoint))

    def pending_rows(self, endpoint_ids: list[str]) -> dict[str, PendingRow]:
        """Return the pending deliveries to these endpoints, by delivery id."""
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
        return {each[0]: PendingRow(*each[1:], tuple(sorted(attempts[each[0]]))) for each in waiting}

    def schedules(self) -> dict[str, tuple[int, datetime]]:
        """Return how many attempts each pending delivery has used and when it is due, by delivery id."""
        row = PendingDelivery
        columns = row.delivery_id, row.attempts_in_schedule, row.next_attempt_at
        with self.app.app_context(), db.engine.connect() as connection:
            return {each[0]: (each[1], each[2]) for each in connection.execute(select(*columns))}

    def manual_pending(self) -> int:
        """Count the deliveries whose next attempt is a manual one, or is under way."""
        pending = select(func.count()).select_from(PendingDelivery)
        return self._count(pending.where(PendingDelivery.scheduled_at.is_not(None)))

    def manual_attempts(self) -> "Counter[str]":
        """Count the recorded manual attempts of each delivery of this scenario."""
        mine = Attempt.delivery_id.in_(select(Delivery.id).where(self._mine))
        return Counter(self._column(Attempt.delivery_id, and_(mine, Attempt.is_manual)))

    def event_count(self) -> int:
        mine = Event.workspace_id == self.workspace_id
        return self._count(select(func.count()).select_from(Event).where(mine))

    def attempt_count(self) -> int:
        """Count the recorded attempts of this scenario."""
        return self._count(select(func.coalesce(func.sum(Delivery.attempt_count), 0)).where(self._mine))

    def audit_count(self, action: str) -> int:
        mine = AuditEntry.workspace_id == self.workspace_id
        return self._count(select(func.count()).where(mine, AuditEntry.action == action))

    def recovery(self, recovery_id: str) -> Recovery:
        with self.app.app_context(), Session(db.engine, expire_on_commit=False) as session:
            return session.get_one(Recovery, recovery_id)

    def arrival_count(self) -> int:
        """Count the requests that the receiver read in this scenario."""
        return sum(1 for _ in self.arrivals())

    def arrivals(self) -> Iterator[dict[str, Any]]:
        """Yield the receiver's line for each request that it read in this scenario."""
        lines = journal.read(self.receiver_journal, self.receiver_offset)
        return (line for line in lines if "answered" not in line)

    def not_accepted_count(self) -> int:
        """Count the events for which producers got no 202."""
        return sum("error" in line for line in journal.read(self.journal))

    def refusals(self, path: Path | None = None) -> "Counter[int]":
        """Count the answers other than 202 that producers got, by status; 0 is none at all.

        They are read from the scenario's journal, or from another of producers.
        """
        return Counter(line["error"] for line in journal.read(path or self.journal) if "error" in line)

    def outcomes(self) -> "Counter[str | None]":
        """Count the deliveries of this scenario by their last outcome."""
        return Counter(self._column(Delivery.last_outcome, self._mine))

    def states_of(self, endpoint_id: str) -> dict[str, int]:
        """Count the deliveries to an endpoint by state."""
        states = self._column(Delivery.state, Delivery.endpoint_id == endpoint_id)
        return dict(Counter(state.value for state in states))

    def delivery_ids(self) -> list[str]:
        return self._column(Delivery.id, self._mine)

    def created_at(self) -> dict[str, datetime]:
        """Return when each delivery was accepted, by delivery id."""
        with self.app.app_context(), db.engine.connect() as connection:
            rows = connection.execute(select(Delivery.id, Delivery.created_at).where(self._mine))
            return {row.id: row.created_at for row in rows}

    def due_times(self) -> list[datetime]:
        """Return when the pending deliveries of all workspaces fall due."""
        return self._column(PendingDelivery.next_attempt_at, PendingDelivery.delivery_id.is_not(None))

    @property
    def _mine(self) -> ColumnElement[bool]:
        return Delivery.workspace_id == self.workspace_id

    def _column(self, column: InstrumentedAttribute[T], where: ColumnElement[bool]) -> list[T]:
        with self.app.app_context(), db.engine.connect() as connection:
            return list(connection.execute(select(column).where(where)).scalars())


def _unrecorded(report: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the claims of a crash report, as JSON knows no pairs."""
    return ((delivery_id, generation) for delivery_id, generation in report["unrecorded"])
