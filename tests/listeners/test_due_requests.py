"""What is due at a listener: claimed for as long as its program needs."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.conftest import Workspace
from tests.listeners.listening import TIMEOUT, begin, claim
from tests.monitoring.test_stored_formats import report
from tests.worker.attempted import attempts, damage, damage_text, deliveries, exchange, make_due
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AttemptRollup, DeliveryState, Endpoint, PendingDelivery
from webhooks_app.extensions import db, services
from webhooks_app.listeners import due_requests
from webhooks_app.listeners.due_requests import LEASE_MARGIN
from webhooks_app.monitoring.own_report import WEB


def test_a_claim_lasts_while_its_program_handles_one_after_the_other(workspace: Workspace) -> None:
    session = begin(workspace)
    workspace.send(2)

    claimed = claim(session.endpoint_id, limit=10)

    db.session.rollback()
    leases = db.session.scalars(select(PendingDelivery.next_attempt_at)).all()
    assert len({each.claimed_at for each in claimed}) == 1
    assert leases == [claimed[0].claimed_at + LEASE_MARGIN + 10 * TIMEOUT] * 2


def test_a_request_says_which_attempt_of_its_schedule_it_is(
    workspace: Workspace, database: WriteDatabase
) -> None:
    session = begin(workspace)
    workspace.send()
    [first] = claim(session.endpoint_id)
    make_due(database)
    [again] = claim(session.endpoint_id)
    # Nothing was reported on the first one, so that it is the same attempt under another claim.
    assert (first.number, again.number) == (1, 1)
    assert again.generation == first.generation + 1
    assert (first.is_test, first.delivery_id) == (False, again.delivery_id)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_somebody_else_takes_at_that_moment_is_not_waited_for(
    workspace: Workspace, database: WriteDatabase
) -> None:
    session = begin(workspace)
    workspace.send()
    with database.begin() as connection:
        connection.execute(select(PendingDelivery.delivery_id).with_for_update())
        assert claim(session.endpoint_id) == []
    assert len(claim(session.endpoint_id)) == 1


def test_what_has_a_damaged_body_fails_and_the_others_are_handed_on(
    workspace: Workspace, database: WriteDatabase
) -> None:
    session = begin(workspace)
    first, second, third, fourth, other = workspace.send(5)
    damage(database, first)
    damage_text(database, second)
    exchange(database, third, fourth)
    assert [each.event_id for each in claim(session.endpoint_id)] == [other]
    failed = [each for each in deliveries() if each.event_id != other]
    assert {(each.state, each.last_outcome) for each in failed} == {(DeliveryState.FAILED, "payload")}
    assert [each.request_headers for each in attempts()] == ["[]"] * 4
    assert db.session.scalars(select(AttemptRollup.count)).all() == []
    make_due(database)
    assert [each.event_id for each in claim(session.endpoint_id)] == [other]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_code_before_can_show_what_failed_so(workspace: Workspace, database: WriteDatabase) -> None:
    session = begin(workspace)
    [damaged] = workspace.send()
    damage(database, damaged)
    report(database, WEB)
    assert claim(session.endpoint_id) == []
    [failed] = deliveries()
    assert (failed.state, failed.last_outcome) == (DeliveryState.FAILED, "platform")


def test_requests_come_in_the_order_of_their_events(workspace: Workspace, database: WriteDatabase) -> None:
    session = begin(workspace)
    sent = workspace.send(6)
    with database.begin() as connection:
        rows = connection.execute(
            select(PendingDelivery.delivery_id).order_by(PendingDelivery.event_id.desc())
        )
        moments = {row.delivery_id: at for at, row in enumerate(rows)}
        for delivery_id, at in moments.items():  # the last event is due first
            connection.execute(
                update(PendingDelivery)
                .where(PendingDelivery.delivery_id == delivery_id)
                .values(next_attempt_at=clock.now() - timedelta(seconds=60 - at))
            )
    assert [each.event_id for each in claim(session.endpoint_id)] == sent


def test_whoever_waits_hears_of_what_is_due_and_of_the_end(
    workspace: Workspace, database: WriteDatabase
) -> None:
    first, second = begin(workspace), begin(workspace, name="other", all_events=False)
    workspace.send()
    both = [first.endpoint_id, second.endpoint_id]
    db.session.rollback()
    due_at = db.session.scalars(select(PendingDelivery.next_attempt_at)).one()
    with services().read.connect_autocommit() as connection:
        assert due_requests.find_due(connection, both, now=due_at) == {first.endpoint_id}
        assert due_requests.find_due(connection, both, now=due_at - timedelta(microseconds=1)) == set()
        assert due_requests.find_due(connection, both[1:], now=due_at) == set()
    with database.begin() as connection:
        connection.execute(update(Endpoint).where(Endpoint.id == both[1]).values(deleted_at=clock.now()))
    with services().read.connect_autocommit() as connection:
        assert due_requests.find_due(connection, both, now=due_at) == set(both)
