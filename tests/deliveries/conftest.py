"""Deliveries in the states that the tests need, the log as they read it, and recoveries."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from tests.conftest import TESTER, Workspace
from tests.receivers import Receiver
from tests.statements import told_of_statements
from tests.waiting import wait_for
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.keyset import SearchLimits
from webhooks_app.db.models import Delivery, DeliveryState, PendingDelivery, Recovery
from webhooks_app.deliveries import recoveries
from webhooks_app.deliveries.log import delivery_list, filters, search
from webhooks_app.deliveries.log.delivery_list import LogPage
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.deliveries.recovery_runs import RecoveryLimits
from webhooks_app.extensions import db, services
from webhooks_app.jobs.wake_ups import WakeUps

FAILED = LogFilter(status=Status.FAILED)
SMALL_BATCHES = RecoveryLimits(batch_rows=7)


def page(
    workspace: Workspace,
    before: str = "",
    after: str = "",
    limit: int = 25,
    limits: SearchLimits = search.LIMITS,
    **arguments: str,
) -> LogPage:
    db.session.rollback()
    wanted = filters.parse(arguments)
    return delivery_list.read_page(
        db.session(),
        workspace.id,
        wanted,
        now=clock.now(),
        before=before,
        after=after,
        limit=limit,
        limits=limits,
    )


def found(workspace: Workspace, **arguments: str) -> list[str]:
    """All pages of a filter, newest first."""
    seen, before = [], ""
    while True:
        got = page(workspace, before, limit=3, limits=search.LIMITS, **arguments)
        seen += [row.id for row in got.rows]
        if not got.older:
            return seen
        before = got.older


def change(database: WriteDatabase, delivery_id: str, **values: object) -> None:
    with database.begin() as connection:
        connection.execute(update(Delivery).where(Delivery.id == delivery_id).values(**values))


def claim(database: WriteDatabase, delivery_id: str, *, lease: timedelta = timedelta(minutes=1)) -> None:
    """As a worker does that is sending it now; with a lease in the past, as one did that died since."""
    now = clock.now()
    with database.begin() as connection:
        mine = update(PendingDelivery).where(PendingDelivery.delivery_id == delivery_id)
        connection.execute(mine.values(claimed_at=now, next_attempt_at=now + lease))


def newest_ids(workspace: Workspace) -> list[str]:
    db.session.rollback()
    mine = select(Delivery.id).where(Delivery.workspace_id == workspace.id)
    return list(db.session.scalars(mine.order_by(Delivery.id.desc())))


@contextmanager
def statements() -> Iterator[list[str]]:
    """What the database is asked meanwhile, without the transactions' begins and ends."""
    wait_for(lambda: not services().group_commit._is_committing)  # what an event leaves to do is asked, too
    caught: list[str] = []

    def catch(statement: str, _values: Any) -> None:
        if not statement.startswith("BEGIN"):
            caught.append(statement)

    with told_of_statements(catch):
        yield caught


def states() -> dict[str, int]:
    db.session.rollback()
    return {
        state.value: count
        for state, count in db.session.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
    }


def read_recovery(recovery_id: str) -> Recovery:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Recovery, recovery_id)


def fail_all(database: WriteDatabase, *, outcome: str = "timeout") -> None:
    """As if every pending delivery had used up its schedule."""
    long_ago = clock.now() - timedelta(seconds=5)
    with database.begin() as connection:
        connection.execute(text("DELETE FROM pending_deliveries"))
        connection.execute(
            update(Delivery)
            .where(Delivery.state == DeliveryState.PENDING)
            .values(
                state=DeliveryState.FAILED,
                finished_at=long_ago,
                next_attempt_at=None,
                last_outcome=outcome,
                attempts_in_schedule=10,
                generation=10,
            )
        )


def start_recovery(
    databases: Databases,
    wake_ups: WakeUps,
    workspace: Workspace,
    wanted: LogFilter = FAILED,
    **options: Any,
) -> str:
    return recoveries.start(databases, wake_ups, workspace.id, wanted, actor=TESTER, **options)


@pytest.fixture
def endpoint_id(workspace: Workspace, receiver: Receiver) -> str:
    return workspace.endpoint(receiver.url)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter's end is a whole second, so what was made a moment ago counts only a second later."""
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(seconds=2))
