"""Scans of the endpoints that have pending deliveries."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, update

from tests.conftest import MakeEngine, Workspace
from tests.receivers import Receiver
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, PendingDelivery
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import endpoint_scan
from webhooks_app.worker.endpoint_scan import DueEndpoint
from webhooks_app.worker.engine_limits import ClaimLimits, EngineLimits

pytestmark = pytest.mark.usefixtures("queue_matches_states")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_scan_goes_on_behind_the_cursor(workspace: Workspace, database: WriteDatabase) -> None:
    names = sorted(workspace.endpoint("http://127.0.0.1:9/", name=str(number)) for number in range(5))
    workspace.send()

    with database.begin() as connection:
        first = endpoint_scan.scan(connection, after="", count=2)
        rest = endpoint_scan.scan(connection, after=first[-1].endpoint_id, count=10)

    assert [endpoint.endpoint_id for endpoint in first + rest] == names


def test_a_listener_is_found_only_once_it_is_deleted(workspace: Workspace, database: WriteDatabase) -> None:
    """For its program claims by itself; what a deleted one leaves is canceled like that of any other."""
    name = workspace.endpoint("http://127.0.0.1:9/")
    workspace.send()
    for deleted_at, found in ((None, []), (clock.now(), [name])):
        with database.begin() as connection:
            connection.execute(update(Endpoint).values(is_listener=True, deleted_at=deleted_at))
            scanned = endpoint_scan.scan(connection, after="", count=10)
        assert [each.endpoint_id for each in scanned] == found


def test_more_endpoints_than_one_scan_covers_all_get_their_turn(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine
) -> None:
    engine = make_engine(limits=EngineLimits(claims=ClaimLimits(endpoints_per_scan=4)))
    for number in range(10):
        workspace.endpoint(receiver.url, name=str(number))
    workspace.send(40)

    result = engine.run(seconds=300)

    assert result.recorded == len(receiver.received) == 400


@on_sqlite
def test_what_falls_due_behind_a_scan_that_goes_on_is_found(
    workspace: Workspace,
    receiver: Receiver,
    make_engine: MakeEngine,
    wake_ups: WakeUps,
    database: WriteDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, *_ = sorted(workspace.endpoint(receiver.url) for _ in range(5))
    workspace.send()
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=clock.now() + timedelta(hours=1)))
    engine = make_engine(limits=EngineLimits(claims=ClaimLimits(endpoints_per_scan=2)))
    scan, scanned_after = endpoint_scan.scan, []

    def scan_once(connection: Connection, *, after: str, count: int) -> list[DueEndpoint]:
        found = scan(connection, after=after, count=count)
        scanned_after.append(after)
        if len(scanned_after) == 2:  # while it scans the second stretch, something of the first falls due
            is_of_first = PendingDelivery.endpoint_id == first
            with database.begin() as connection:
                connection.execute(
                    update(PendingDelivery).where(is_of_first).values(next_attempt_at=clock.now())
                )
            wake_ups.wake_worker()
        return found

    monkeypatch.setattr(endpoint_scan, "scan", scan_once)
    engine.run(seconds=60)

    assert len(receiver.received) == 1
