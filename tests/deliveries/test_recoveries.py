"""Recovery: what a filter finds is counted, started, watched and canceled."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from tests.deliveries.conftest import (
    FAILED,
    SMALL_BATCHES,
    fail_all,
    read_recovery,
    start_recovery,
    states,
)
from tests.receivers import Receiver
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import AuditEntry, Delivery, RecoveryAction
from webhooks_app.deliveries import recoveries, recovery_progress, recovery_runs
from webhooks_app.deliveries.log import filters
from webhooks_app.deliveries.log.filter_values import FilterError
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps

pytestmark = pytest.mark.usefixtures("later")


def test_a_canceled_one_stops_and_keeps_what_it_did(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(20)
    fail_all(database)
    recovery_id = start_recovery(databases, wake_ups, workspace)
    recovery_runs.take_next_batch(databases, recovery_id, limits=SMALL_BATCHES)

    assert recoveries.stop(database, read_recovery(recovery_id), actor=TESTER)
    assert not recoveries.stop(database, read_recovery(recovery_id), actor=TESTER)
    assert recovery_runs.run_all(databases, wake_ups, limits=SMALL_BATCHES) == 0
    assert states() == {"pending": 7, "failed": 13}
    names = db.session.scalars(select(AuditEntry.action).where(AuditEntry.target == recovery_id)).all()
    assert sorted(names) == ["recovery.cancel", "recovery.start"]


def test_it_goes_by_endpoint_response_event_and_time(
    workspace: Workspace,
    receiver: Receiver,
    endpoint_id: str,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
) -> None:
    other = workspace.endpoint(receiver.url, name="other")
    workspace.send(5)
    fail_all(database, outcome="http_5xx")
    now = clock.now()

    def count(**values: Any) -> int:
        wanted = replace(LogFilter(status=Status.FAILED), **values)
        return recoveries.preview(db.session(), workspace.id, wanted, now=now).count

    assert count() == 10
    assert count(endpoint=other) == 5
    assert count(response="5xx") == 10
    assert count(response="timeout") == 0
    assert count(event_type="batch-request") == 0
    assert count(range="1h") == 10
    assert count(until=now - timedelta(hours=1)) == 0
    start_recovery(
        databases, wake_ups, workspace, LogFilter(status=Status.FAILED, endpoint=other, response="5xx")
    )
    assert recovery_runs.run_all(databases, wake_ups) == 5
    with pytest.raises(recoveries.NothingToRecover):
        start_recovery(databases, wake_ups, workspace, LogFilter(status=Status.FAILED, response="timeout"))


@pytest.mark.parametrize(
    ("action", "wanted"),
    [
        (RecoveryAction.REPLAY, LogFilter(status=Status.SENDING)),
        (RecoveryAction.REPLAY, LogFilter(status=Status.HELD)),
        (RecoveryAction.SEND, LogFilter(status=Status.FAILED)),
        (RecoveryAction.CANCEL, LogFilter(status=Status.DELIVERED)),
        (RecoveryAction.CANCEL, LogFilter(status=Status.SENDING)),
        (RecoveryAction.REPLAY, LogFilter(endpoint=ids.new("ep"))),
    ],
)
def test_what_an_action_is_not_for_is_refused(
    action: RecoveryAction,
    wanted: LogFilter,
    workspace: Workspace,
    databases: Databases,
    wake_ups: WakeUps,
) -> None:
    with pytest.raises(FilterError):
        recoveries.start(databases, wake_ups, workspace.id, wanted, action=action, actor=TESTER)


@pytest.mark.parametrize("rate", [0, -1, 1001])
def test_a_rate_that_is_none_is_refused(
    rate: int, workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    with pytest.raises(FilterError) as refused:
        recoveries.start(databases, wake_ups, workspace.id, LogFilter(), rate_per_second=rate, actor=TESTER)
    assert refused.value.field == "rate"


def test_progress_of_what_is_too_much_to_count_goes_by_time(
    workspace: Workspace,
    endpoint_id: str,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
) -> None:
    workspace.send(20)
    fail_all(database)
    an_hour = LogFilter(status=Status.FAILED, range="1h")
    recovery_id = recoveries.start(databases, wake_ups, workspace.id, an_hour, actor=TESTER, count_limit=5)
    assert recovery_progress.progress(read_recovery(recovery_id)) == recovery_progress.Progress(0.0, 0, None)
    recovery_runs.take_next_batch(databases, recovery_id, limits=SMALL_BATCHES)
    found = recovery_progress.progress(read_recovery(recovery_id))
    assert (found.done, found.total) == (7, None)
    assert 0.9 < found.share <= 1.0


def test_one_recovery_runs_at_a_time_at_an_endpoint_and_one_over_all(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(3)
    fail_all(database)
    for wanted in (FAILED, replace(FAILED, endpoint=endpoint_id)):
        first = start_recovery(databases, wake_ups, workspace, wanted)
        with pytest.raises(recoveries.AlreadyRunning) as refused:
            start_recovery(databases, wake_ups, workspace, wanted)
        assert refused.value.recovery_id == first
    recovery_runs.run_all(databases, wake_ups)
    fail_all(database)
    assert start_recovery(databases, wake_ups, workspace) != first


def test_a_window_of_a_fraction_of_a_second_is_kept_as_it_was(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(3)
    fail_all(database)
    made = ids.created_at(db.session.scalars(select(Delivery.id).limit(1)).one())
    window = LogFilter(
        status=Status.FAILED,
        range="custom",
        since=made - timedelta(milliseconds=100),
        until=made + timedelta(milliseconds=100),
    )
    recovery_id = start_recovery(databases, wake_ups, workspace, window)
    assert filters.parse(read_recovery(recovery_id).filter).since is not None
    assert recovery_runs.run_all(databases, wake_ups) == 3


def test_what_fails_after_the_start_is_none_of_it(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(3)
    fail_all(database)
    recovery_id = start_recovery(databases, wake_ups, workspace)
    recovery_runs.take_next_batch(databases, recovery_id)
    fail_all(database)  # they failed again
    recovery_runs.run_all(databases, wake_ups)
    assert read_recovery(recovery_id).handled == 3
    assert filters.parse(read_recovery(recovery_id).filter).until is not None
