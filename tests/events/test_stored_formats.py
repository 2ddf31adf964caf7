"""What an accept stores while processes of the version before may still run, and after."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import LargeBinary, delete, insert, select, type_coerce

from tests.conftest import Workspace
from tests.events.test_group_commit import EVENT, OTHER
from tests.worker.attempted import claim
from webhooks_app.core import clock
from webhooks_app.db import event_bodies
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, Event, RollingUpgrade
from webhooks_app.db.rolling_upgrades import CONSTANT_HEADERS, PACKED_BODIES
from webhooks_app.deliveries.log.attempts import read_payload
from webhooks_app.deliveries.log.rows import read_row
from webhooks_app.events.group_commit import GroupCommit
from webhooks_app.events.submissions import KeyReused, NewEvent, Submission
from webhooks_app.extensions import db, services
from webhooks_app.worker import signed_requests


@pytest.fixture
def group_commit(app: Flask) -> GroupCommit:
    return services(app).group_commit


@pytest.mark.parametrize(("hours", "is_packed"), [(None, False), (-1, True), (1, False)])
def test_bodies_are_packed_once_no_process_runs_that_could_not_read_them(
    workspace: Workspace,
    database: WriteDatabase,
    group_commit: GroupCommit,
    hours: int | None,
    is_packed: bool,
) -> None:
    with database.begin() as connection:
        connection.execute(delete(RollingUpgrade))  # as on a schema from before
        if hours is not None:
            ends_at = clock.now() + timedelta(hours=hours)
            connection.execute(insert(RollingUpgrade).values(change=PACKED_BODIES, ends_at=ends_at))
    workspace.endpoint("https://a.example.com/")
    for _ in range(2):  # the second is a repeat
        group_commit.accept(Submission(workspace.id, [EVENT], idempotency_key="k"))
    with pytest.raises(KeyReused):
        group_commit.accept(Submission(workspace.id, [OTHER], idempotency_key="k"))

    [(stored, body, event_id)] = db.session.execute(
        select(type_coerce(Event.body, LargeBinary), Event.body, Event.id)
    )
    assert body.endswith(b'"data":' + EVENT.raw_data + b"}")
    assert event_bodies.is_packed(bytes(stored)) is is_packed
    assert (bytes(stored) == body) is not is_packed
    assert read_payload(db.session(), event_id) == (body, len(body))
    assert read_payload(db.session(), event_id, limit=50) == (body[:50], len(body))
    [claimed] = claim(database)
    assert claimed.body in (None, body)
    assert signed_requests.bodies(db.session.connection(), [event_id]) == {event_id: body}


@pytest.mark.parametrize(("is_over", "listed"), [(False, ["b1", "failed"]), (True, [])])
def test_values_stand_once_where_all_processes_read_that_and_are_shown_alike(
    workspace: Workspace, database: WriteDatabase, group_commit: GroupCommit, is_over: bool, listed: list[str]
) -> None:
    if not is_over:
        with database.begin() as connection:
            connection.execute(delete(RollingUpgrade).where(RollingUpgrade.change == CONSTANT_HEADERS))
    workspace.endpoint("https://a.example.com/")
    group_commit.accept(Submission(workspace.id, [NewEvent.of("batch-lifecycle", {}, ["b1", "failed"])]))

    assert db.session.scalars(select(Event.indexed_values)).all() == [listed]
    delivery_id = db.session.scalars(select(Delivery.id)).one()
    row = read_row(db.session(), workspace.id, delivery_id)
    assert row is not None
    assert row.indexed_values == ["b1", "failed"]
