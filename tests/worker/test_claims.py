"""Claims: shares, leases, and deliveries whose workers died."""

import threading
import time

import pytest
from sqlalchemy import select, text, update

from tests.conftest import Workspace
from tests.receivers import Answer, Received, Receiver
from tests.worker.attempted import LEASE, URL, claim, claim_twice, deliveries, make_due
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import (
    DeliveryState,
    Endpoint,
    PendingDelivery,
)
from webhooks_app.worker import claims, endpoint_scan
from webhooks_app.worker.claimed_delivery import (
    EXPIRED_LEASES_TO_GIVE_UP,
    EXPIRED_LEASES_TO_ISOLATE,
)
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("queue_matches_states")


def test_a_claim_whose_worker_dies_again_and_again_is_given_up(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()

    for expired_leases in range(EXPIRED_LEASES_TO_GIVE_UP):
        [claimed] = claim(database, 5)
        assert claimed.expired_leases == expired_leases
        assert claim(database, 5) == []
        if expired_leases >= EXPIRED_LEASES_TO_ISOLATE:
            assert claims.begin_lease(database, claimed, now=clock.now())
        make_due(database)
    engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.state, delivery.last_outcome) == (DeliveryState.FAILED, "crashed")
    assert receiver.received == []


def test_a_suspect_that_only_waits_is_not_blamed_for_its_workers_death(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(expired_leases=EXPIRED_LEASES_TO_ISOLATE))

    for _ in range(10):
        [claimed] = claim(database, 5)
        assert claimed.expired_leases == EXPIRED_LEASES_TO_ISOLATE
        make_due(database)
    engine.run(seconds=60)

    assert deliveries()[0].state is DeliveryState.DELIVERED


def test_a_released_claim_is_due_at_once(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    claimed = claim(database, 5)

    claims.release(database, claimed, due_at=clock.now())
    engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_claim_reads_what_it_takes_though_the_queue_was_empty_when_it_was_analyzed(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(1000)
    read = text("SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = :name")
    queue = {"name": "pending_deliveries"}
    with database.begin() as connection:
        connection.execute(
            text("CREATE TEMPORARY TABLE waiting ON COMMIT DROP AS SELECT * FROM pending_deliveries")
        )
        connection.execute(text("DELETE FROM pending_deliveries"))
        connection.execute(text("ANALYZE pending_deliveries"))
        connection.execute(text("INSERT INTO pending_deliveries SELECT * FROM waiting"))
        before = connection.scalars(read, queue).one()
        claimed = claims.claim_due(connection, {endpoint_id: 5}, now=clock.now(), lease=LEASE)
        rows_read = connection.scalars(read, queue).one() - before

    assert len(claimed) == 5
    assert 5 <= rows_read < 50


def test_a_claim_takes_a_share_of_every_endpoint(workspace: Workspace, database: WriteDatabase) -> None:
    busy, quiet = (workspace.endpoint("http://127.0.0.1:9/", name=name) for name in ("busy", "quiet"))
    workspace.send(40)

    with database.begin() as connection:
        endpoints = endpoint_scan.scan(connection, after="", count=1000)
        claimed = claims.claim_due(connection, {busy: 8, quiet: 4}, now=clock.now(), lease=LEASE)

    assert [endpoint.endpoint_id for endpoint in endpoints] == sorted([busy, quiet])
    counts = {name: sum(claim.endpoint_id == name for claim in claimed) for name in (busy, quiet)}
    assert counts == {busy: 8, quiet: 4}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_scan_goes_by_id_however_the_server_joins(workspace: Workspace, database: WriteDatabase) -> None:
    """What stands last is where the next stretch begins, so that in another order some would be left out."""
    names = sorted(workspace.endpoint("http://127.0.0.1:9/", name=f"{number}") for number in range(8))
    workspace.send()
    with database.begin() as connection:  # the rows of the endpoints then lie in another order
        for name in reversed(names):
            connection.execute(update(Endpoint).where(Endpoint.id == name).values(timeout_ms=4000))

    with database.begin() as connection:
        connection.execute(text("SET LOCAL enable_nestloop TO off; SET LOCAL enable_mergejoin TO off"))
        whole = endpoint_scan.scan(connection, after="", count=1000)
        first = endpoint_scan.scan(connection, after="", count=3)
        rest = endpoint_scan.scan(connection, after=first[-1].endpoint_id, count=1000)

    assert [each.endpoint_id for each in whole] == names
    assert [each.endpoint_id for each in (*first, *rest)] == names


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_waiting_for_the_lock_is_not_taken_off_the_lease(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, databases: Databases
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    is_held, released_at, ends_at = threading.Event(), [], []

    def hold() -> None:
        with databases.write.begin():
            is_held.set()
            time.sleep(1)
            released_at.append(clock.now())

    def answer(_: Received) -> Answer:
        with databases.read.connect() as connection:
            ends_at.append(connection.scalars(select(PendingDelivery.next_attempt_at)).one())
        return Answer()

    receiver.answer = answer
    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    engine.run(seconds=300)
    holder.join()

    assert ends_at[0] >= released_at[0] + LEASE


def test_one_claim_takes_of_several_endpoints(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_ids = [workspace.endpoint(f"http://127.0.0.1:9/{number}") for number in range(3)]
    workspace.send()

    with database.begin() as connection:
        claimed = claims.claim_due(connection, dict.fromkeys(endpoint_ids, 5), now=clock.now(), lease=LEASE)

    assert sorted(each.endpoint_id for each in claimed) == sorted(endpoint_ids)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_claim_skips_what_another_worker_is_claiming(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint = workspace.endpoint(URL)
    workspace.send(2)
    taken = []
    with database.begin() as first, database.begin() as second:
        for connection in (first, second):
            taken += claims.claim_due(connection, {endpoint: 1}, now=clock.now(), lease=LEASE)
    assert len({each.delivery_id for each in taken}) == 2


def test_a_stale_claim_is_neither_released_nor_marked(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint(URL)
    workspace.send()
    stale, current = claim_twice(database)

    claims.release(database, [stale], due_at=clock.now())
    assert claim(database, 5) == []
    assert not claims.begin_lease(database, stale, now=clock.now())
    assert claims.begin_lease(database, current, now=clock.now())


def test_a_released_claim_is_no_expired_lease(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint(URL)
    workspace.send()

    for _ in range(EXPIRED_LEASES_TO_ISOLATE + 1):
        [claimed] = claim(database, 5)
        assert claimed.expired_leases == 0
        claims.release(database, [claimed], due_at=clock.now())


def test_each_claim_of_a_delivery_has_the_next_generation(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    assert [each.generation for each in claim_twice(database)] == [1, 2]
