"""Gathers what the checker compares: the journals and the rows of one workspace."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, or_, select, text

from faults import journal
from faults.checker import Arrival, DeliveryRow, EventRow, Facts, Promise, QueueRow
from faults.processes import DELAYS
from faults.system import Stack
from webhooks_app.core import clock
from webhooks_app.db.models import Attempt, Delivery, Event, PendingDelivery
from webhooks_app.extensions import db


def gather(stack: Stack, *, may_wait: bool = False, schedule_length: int | None = None) -> Facts:
    with stack.app.app_context(), db.engine.connect() as connection:
        arrivals, succeeded = _arrivals(stack.receiver_journal, stack.receiver_offset)
        facts = Facts(
            promises=_promises(stack.journal),
            arrivals=arrivals,
            succeeded=succeeded,
            events=_events(connection, stack.workspace_id),
            deliveries=_deliveries(connection, stack.workspace_id),
            queue=_queue(connection, stack.workspace_id),
            attempts=_attempts(connection, stack.workspace_id),
            keys=stack.keys,
            schedule_length=len(DELAYS) if schedule_length is None else schedule_length,
            in_flight_at_kills=stack.in_flight_at_kills,
            now=clock.now(),
            claims_lost=stack.claims_lost,
            poisoned=stack.poisoned,
            fan_out=stack.fan_out,
            may_end=stack.may_end,
            may_wait=may_wait,
        )
        if stack.has_graveyard:
            _add_buried(connection, facts, stack.workspace_id)
    return facts


def _add_buried(connection: Connection, facts: Facts, workspace_id: str) -> None:
    """What retention deleted, as it was; see `faults.graveyard`."""
    mine = {"mine": workspace_id}
    events = connection.execute(text("SELECT id, body FROM buried_events WHERE workspace_id = :mine"), mine)
    facts.events |= {row.id: EventRow(bytes(row.body), _name(bytes(row.body))) for row in events}
    deliveries = connection.execute(
        text(
            "SELECT id, event_id, endpoint_id, state, generation, tries, last_outcome"
            " FROM buried_deliveries WHERE workspace_id = :mine"
        ),
        mine,
    )
    facts.deliveries |= {row.id: DeliveryRow(*row) for row in deliveries}
    attempts = connection.execute(
        text("SELECT delivery_id, count(*) FROM buried_attempts GROUP BY delivery_id")
    )
    facts.attempts += Counter({row[0]: row[1] for row in attempts})


def _promises(path: Path) -> list[Promise]:
    return [Promise(line["event"], line["deliveries"]) for line in journal.read(path) if "event" in line]


def _arrivals(path: Path, offset: int) -> tuple[list[Arrival], set[str]]:
    arrivals: list[Arrival] = []
    succeeded: set[str] = set()
    for line in journal.read(path, offset):
        if "answered" not in line:
            arrivals.append(
                Arrival(line["id"], line["sha256"], line["timestamp"], line["signature"], line["answer"])
            )
        elif 200 <= line["status"] <= 299:
            succeeded.add(line["answered"])
    return arrivals, succeeded


def _events(connection: Connection, workspace_id: str) -> dict[str, EventRow]:
    rows = connection.execute(select(Event.id, Event.body).where(Event.workspace_id == workspace_id))
    return {row.id: EventRow(bytes(row.body), _name(bytes(row.body))) for row in rows}


def _name(body: bytes) -> str:
    data: Any = json.loads(body)["data"]
    return str(data["batch_id"])


def _deliveries(connection: Connection, workspace_id: str) -> dict[str, DeliveryRow]:
    rows = connection.execute(
        select(
            Delivery.id,
            Delivery.event_id,
            Delivery.endpoint_id,
            Delivery.state,
            Delivery.generation,
            Delivery.attempts_in_schedule,
            Delivery.last_outcome,
        ).where(Delivery.workspace_id == workspace_id)
    )
    return {row.id: DeliveryRow(*row[:3], row.state.value, *row[4:]) for row in rows}


def _queue(connection: Connection, workspace_id: str) -> dict[str, QueueRow]:
    rows = connection.execute(
        select(PendingDelivery.delivery_id, PendingDelivery.next_attempt_at, PendingDelivery.generation)
        .outerjoin(Delivery, Delivery.id == PendingDelivery.delivery_id)
        .where(or_(Delivery.workspace_id == workspace_id, Delivery.id.is_(None)))
    )
    return {row.delivery_id: QueueRow(row.next_attempt_at, row.generation) for row in rows}


def _attempts(connection: Connection, workspace_id: str) -> "Counter[str]":
    rows = connection.execute(
        select(Attempt.delivery_id, func.count())
        .join(Delivery, Delivery.id == Attempt.delivery_id)
        .where(Delivery.workspace_id == workspace_id)
        .group_by(Attempt.delivery_id)
    )
    return Counter({row[0]: row[1] for row in rows})
