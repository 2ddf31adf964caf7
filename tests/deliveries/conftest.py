"""Reading the log, and deliveries in the states that the tests need."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import event, select, update

from tests.conftest import Workspace
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.keyset import SearchLimits
from webhooks_app.db.models import Delivery, PendingDelivery
from webhooks_app.deliveries import log
from webhooks_app.deliveries.log import LogPage, search
from webhooks_app.extensions import db


def page(
    workspace: Workspace,
    before: str = "",
    after: str = "",
    limit: int = 25,
    limits: SearchLimits = search.LIMITS,
    **arguments: str,
) -> LogPage:
    db.session.rollback()
    wanted = log.parse(arguments)
    return log.read_page(
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
        got = page(workspace, before, limit=3, **arguments)
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
    caught: list[str] = []

    def catch(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            caught.append(statement)

    event.listen(db.engine, "before_cursor_execute", catch)
    yield caught
    event.remove(db.engine, "before_cursor_execute", catch)
