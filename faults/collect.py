"""Collects what the checker compares: the journals and the rows of one workspace."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, or_, select, text

from faults import journal
from faults.evidence import AcceptedEvent, Arrival, EventRow, Evidence, QueueRow, StoredDelivery
from faults.platform_processes import DELAYS
from faults.system import System
from webhooks_app.core import clock
from webhooks_app.db import event_bodies
from webhooks_app.db.models import Attempt, Delivery, Event, PendingDelivery
from webhooks_app.extensions import db


def collect_facts(
    system: System, *, may_be_pending: bool = False, schedule_length: int | None = None
) -> Evidence:
    """Collect the facts of the present workspace.

    `schedule_length` is how many retries a delivery has, where it is not the usual number.
    """
    with system.app.app_context(), db.engine.connect() as connection:
        arrivals, succeeded = _arrivals(system.receiver_journal, system.receiver_offset)
        facts = Evidence(
            accepted=_accepted(system.journal),
            arrivals=arrivals,
            succeeded=succeeded,
            events=_events(connection, system.workspace_id),
            deliveries=_deliveries(connection, system.workspace_id),
            queue=_queue(connection, system.workspace_id),
            attempts=_attempts(connection, system.workspace_id),
            keys=system.keys,
            schedule_length=len(DELAYS) if schedule_length is None else schedule_length,
            unrecorded_at_kills=system.unrecorded_at_kills(),
            now=clock.now(),
            claims_unseen=system.claims_unseen,
            claims_lost=system.claims_lost,
            poisoned=system.poisoned,
            fan_out=system.fan_out,
            allowed_ends=system.allowed_ends,
            may_be_pending=may_be_pending,
        )
        if system.keeps_deleted_rows:
            _add_deleted_rows(connection, facts, system.workspace_id)
    return facts


def _add_deleted_rows(connection: Connection, facts: Evidence, workspace_id: str) -> None:
    """Add what retention deleted, as `faults.deleted_rows` kept it."""
    mine = {"mine": workspace_id}
    events = connection.execute(text("SELECT id, body FROM deleted_events WHERE workspace_id = :mine"), mine)
    facts.events |= {row.id: _event_row(event_bodies.unpack(bytes(row.body))) for row in events}
    deliveries = connection.execute(
        text(
            "SELECT id, event_id, endpoint_id, state, generation, tries, last_outcome"
            " FROM deleted_deliveries WHERE workspace_id = :mine"
        ),
        mine,
    )
    facts.deliveries |= {row.id: StoredDelivery(*row) for row in deliveries}
    attempts = connection.execute(
        text("SELECT delivery_id, count(*) FROM deleted_attempts GROUP BY delivery_id")
    )
    facts.attempts += Counter({row[0]: row[1] for row in attempts})


def _accepted(path: Path) -> list[AcceptedEvent]:
    return [
        AcceptedEvent(line["event"], line["deliveries"]) for line in journal.read(path) if "event" in line
    ]


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
    return {row.id: _event_row(row.body) for row in rows}


def _event_row(body: bytes) -> EventRow:
    data: dict[str, Any] = json.loads(body)["data"]
    return EventRow(bytes(body), str(data["batch_id"]))


def _deliveries(connection: Connection, workspace_id: str) -> dict[str, StoredDelivery]:
    rows = connection.execute(
        select(
            Delivery.id,
            Delivery.event_id,
            Delivery.endpoint_id,
            Delivery.state,
            Delivery.generation,
            Delivery.attempts_in_schedule,
            Delivery.last_outcome,
            Delivery.attempt_count,
        ).where(Delivery.workspace_id == workspace_id)
    )
    return {row.id: StoredDelivery(*row[:3], row.state.value, *row[4:7], row.attempt_count) for row in rows}


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
