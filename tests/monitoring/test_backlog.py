"""How much waits is counted by one process for all, and told with where it is going."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.conftest import TESTER, Workspace
from tests.monitoring.fleet import MINUTE, sample
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Endpoint, Heartbeat, PendingDelivery
from webhooks_app.endpoints import actions
from webhooks_app.extensions import db
from webhooks_app.monitoring import backlog
from webhooks_app.monitoring.backlog import Sample


def read(databases: Databases) -> list[Sample]:
    with databases.read.connect() as connection:
        return backlog.read(connection)


def let_time_pass(databases: Databases) -> None:
    with databases.write.begin() as connection:
        connection.execute(update(Heartbeat).values(at=clock.now() - MINUTE))


def test_an_empty_queue_is_counted(databases: Databases) -> None:
    assert backlog.sample_if_due(databases)

    [counted] = read(databases)
    assert (counted.pending, counted.due, counted.held, counted.oldest_due_at) == (0, 0, 0, None)


def test_what_is_pending_due_and_held_is_counted(workspace: Workspace, databases: Databases) -> None:
    few = workspace.endpoint("http://127.0.0.1:9/few", name="few")
    workspace.send(2)
    many = workspace.endpoint("http://127.0.0.1:9/many", name="many")
    workspace.send(3)
    later = clock.now() + timedelta(hours=1)
    with databases.write.begin() as connection:
        connection.execute(
            update(PendingDelivery).where(PendingDelivery.endpoint_id == few).values(next_attempt_at=later)
        )
    disabled = workspace.endpoint("http://127.0.0.1:9/off", name="off", all_events=True)
    actions.disable(databases.write, db.session.get_one(Endpoint, disabled), actor=TESTER)
    workspace.send(4)

    assert backlog.sample_if_due(databases)

    [counted] = read(databases)
    assert counted.pending == 2 + 3 + 3 + 4 + 4
    assert counted.due == counted.pending - 5
    assert counted.held == 4
    assert counted.endpoints == [[many, 7], [few, 4]]
    assert counted.oldest_due_at is not None
    assert counted.oldest_due_at < counted.at


def test_only_one_process_counts_at_a_time(databases: Databases) -> None:
    assert backlog.sample_if_due(databases)
    assert not backlog.sample_if_due(databases)

    let_time_pass(databases)

    assert backlog.sample_if_due(databases)
    assert len(read(databases)) == 2


def test_a_slope_needs_some_minutes_and_looks_at_the_last_ten() -> None:
    steady = [sample(minutes * MINUTE, due=100) for minutes in (30, 20, 11)]
    rising = [sample(minutes * MINUTE, due=900 - 50 * minutes) for minutes in range(10, -1, -1)]

    assert backlog.slope_per_minute(rising[-2:]) is None
    assert backlog.slope_per_minute(steady + rising) == pytest.approx(50)
    assert backlog.slope_per_minute(rising[:1]) is None
