"""One event's payload is erased by command: all of it, and nothing that is still to be sent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, text, update

from tests.conftest import TESTER, Workspace
from tests.db.postgresql_roles import url_of_one_who_owns_nothing
from tests.deliveries.conftest import claim
from tests.deliveries.test_payload_retention import (
    SECRET,
    URL,
    analyze,
    deliver,
    has_payload,
    mentions,
    sampled_mentions,
)
from tests.patience import PATIENT_LIMITS
from webhooks_app.core import clock
from webhooks_app.db import engines
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import (
    AuditEntry,
    Delivery,
    DeliveryState,
    Endpoint,
    Event,
    FanOut,
    LatePayload,
    PendingDelivery,
)
from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.deliveries import retention
from webhooks_app.deliveries.erasure import one_event
from webhooks_app.deliveries.erasure.erased_event import REQUEST_LIMITS, ErasedEvent, ErasureLimits
from webhooks_app.deliveries.erasure.one_event import StillPending, UnknownEvent
from webhooks_app.deliveries.retention_batches import RetentionLimits
from webhooks_app.endpoints import actions
from webhooks_app.events.fan_out_plan import FanOutPlan
from webhooks_app.extensions import db
from webhooks_app.web import erasure_messages

# As a request has it.
IN_TIME = replace(REQUEST_LIMITS, seconds=600.0)
NO_WAIT = replace(IN_TIME, wal_seconds=0.1)


def erase(databases: Databases, event_id: str, *, cancel_pending: bool = False) -> ErasedEvent:
    db.session.rollback()
    erased = one_event.erase(
        databases, event_id, cancel_pending=cancel_pending, actor=TESTER, limits=ErasureLimits(batch_rows=2)
    )
    db.session.rollback()
    return erased


def states(event_id: str) -> set[str]:
    db.session.rollback()
    return {
        each.value for each in db.session.scalars(select(Delivery.state).where(Delivery.event_id == event_id))
    }


def test_all_of_it_goes_and_nothing_of_another(
    workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    endpoint_ids = [workspace.endpoint(URL) for _ in range(5)]
    [event_id] = workspace.send(batch_id=SECRET)
    workspace.send(batch_id="another")
    for endpoint_id in endpoint_ids:
        deliver(database, endpoint_id)

    analyze(database)

    first = erase(databases, event_id)

    assert (first.was_erased, first.attempts_erased, first.deliveries_canceled) == (False, 5, 0)
    assert has_payload() == [False, True]
    assert states(event_id) == {"delivered"}
    assert mentions(databases) in (5, 10)  # bodies of the other's responses; headers, where one reads them
    assert sampled_mentions(database) == 0
    again = erase(databases, event_id)
    assert (again.was_erased, again.payload_erased_at) == (True, first.payload_erased_at)
    assert again.attempts_erased == 0
    audited = select(AuditEntry.target).where(AuditEntry.action == "event.erase")
    assert list(db.session.scalars(audited)) == [event_id]


@pytest.mark.parametrize("state", ["pending", "held", "to be fanned out"])
def test_what_is_still_to_be_sent_is_refused_or_canceled(
    workspace: Workspace, database: WriteDatabase, databases: Databases, state: str
) -> None:
    endpoint_id = workspace.endpoint(URL)
    if state == "held":
        actions.disable(database, db.session.get_one(Endpoint, endpoint_id), actor=TESTER)
    [event_id] = workspace.send(batch_id=SECRET)
    if state == "to be fanned out":
        deliver(database, endpoint_id)
        _leave_to_fan_out(database, event_id, endpoint_id)

    with pytest.raises(StillPending) as refused:
        erase(databases, event_id)
    assert refused.value.count == 1
    assert has_payload() == [True]
    assert [erase(databases, event_id, cancel_pending=True).deliveries_canceled for _ in "12"] == [1, 0]
    [details] = db.session.scalars(select(AuditEntry.details).where(AuditEntry.action == "event.erase"))
    assert json.loads(details) == ({"deliveries_never_made": 1} if state == "to be fanned out" else {})
    assert has_payload() == [False]
    assert states(event_id) == {"delivered" if state == "to be fanned out" else "canceled"}
    assert not db.session.scalars(select(PendingDelivery)).all()


def _leave_to_fan_out(database: WriteDatabase, event_id: str, endpoint_id: str) -> None:
    now = clock.now()
    topic = ("ws", "batch-lifecycle")
    plan = FanOutPlan([(event_id, topic)], {topic: [endpoint_id]}).as_json()
    with database.begin() as connection:
        rest = {"id": "fan_1", "plan": plan, "position": 0, "created_at": now, "taken_until": now}
        connection.execute(insert(FanOut).values(rest))


def test_what_is_being_sent_is_not_erased(
    workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    workspace.endpoint(URL)
    [event_id] = workspace.send()
    claim(database, db.session.scalars(select(Delivery.id)).one())

    with pytest.raises(StillPending) as refused:
        erase(databases, event_id, cancel_pending=True)
    assert not refused.value.was_time_over
    assert has_payload() == [True]
    assert states(event_id) == {DeliveryState.PENDING.value}


def test_what_is_canceled_before_a_refusal_is_counted_and_audited(
    workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    sent_to, *others = [workspace.endpoint(URL) for _ in range(4)]
    actions.disable(database, db.session.get_one(Endpoint, others[0]), actor=TESTER)
    [event_id] = workspace.send()
    by_endpoint = {each.endpoint_id: each.id for each in db.session.scalars(select(Delivery))}
    claim(database, by_endpoint[sent_to])

    with pytest.raises(StillPending) as refused:
        erase(databases, event_id, cancel_pending=True)
    assert (refused.value.count, refused.value.canceled) == (1, 3)
    canceled = select(AuditEntry.target).where(AuditEntry.action == "delivery.cancel")
    assert set(db.session.scalars(canceled)) == {by_endpoint[name] for name in others}


def test_what_its_time_did_not_suffice_for_is_done_by_retention(
    workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    endpoint_ids = [workspace.endpoint(URL) for _ in range(5)]
    [event_id] = workspace.send(batch_id=SECRET)
    for endpoint_id in endpoint_ids:
        deliver(database, endpoint_id)
    db.session.rollback()

    no_time = ErasureLimits(batch_rows=2, seconds=0)
    erased = one_event.erase(databases, event_id, actor=TESTER, limits=no_time)
    assert (erased.are_attempts_left, erased.is_complete, erased.attempts_erased) == (True, False, 0)
    assert has_payload() == [False]
    assert mentions(databases) >= 5
    db.session.rollback()
    retention.delete_expired(databases, now=clock.now() + timedelta(hours=1))
    assert mentions(databases) == sampled_mentions(database) == 0
    assert not db.session.scalars(select(LatePayload)).all()


@contextmanager
def copies_kept(database: WriteDatabase, databases: Databases) -> Iterator[None]:
    """Keep PostgreSQL from sampling anew, as a vacuum does; SQLite from emptying its log, as readers do."""
    db.session.rollback()
    if database.dialect.name == "postgresql":
        with database.begin() as connection:
            connection.execute(text("LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE"))
            yield
    else:
        with databases.read.connect() as reading:
            reading.execute(select(Event.id)).all()
            yield


def noted() -> list[str]:
    db.session.rollback()
    found = list(db.session.scalars(select(LatePayload.event_id)))
    db.session.rollback()
    return found


def test_of_what_is_complete_nothing_is_left_to_retention_or_to_a_repeat(
    workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    [event_id] = workspace.send()
    assert erase(databases, event_id).is_complete
    assert not noted()
    with copies_kept(database, databases):
        again = one_event.erase(databases, event_id, actor=TESTER, limits=NO_WAIT)
    assert (again.was_erased, again.is_complete) == (True, True)


@pytest.mark.parametrize("days", [0, 31], ids=["at once", "once payloads of its age are erased, too"])
def test_a_run_of_retention_that_leaves_copies_leaves_the_erasure_to_the_next(
    workspace: Workspace, database: WriteDatabase, databases: Databases, days: int
) -> None:
    [event_id] = workspace.send(batch_id=SECRET)
    workspace.send(batch_id="another")
    analyze(database)
    later, limits = clock.now() + timedelta(days=days, hours=1), RetentionLimits(wal_seconds=0.1)
    with copies_kept(database, databases):
        assert not one_event.erase(
            databases, event_id, cancel_pending=True, actor=TESTER, limits=NO_WAIT
        ).is_complete
        retention.delete_expired(databases, now=later, limits=limits)
    assert noted() == [event_id]

    retention.delete_expired(databases, now=later, limits=limits)
    assert noted() == []
    assert sampled_mentions(database) == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_whoever_may_not_make_statistics_anew_does_not_call_an_erasure_complete(
    workspace: Workspace, database: WriteDatabase, databases: Databases, database_url: str
) -> None:
    [event_id] = workspace.send(batch_id=SECRET)
    workspace.send(batch_id="another")
    analyze(database)
    with url_of_one_who_owns_nothing(database_url) as url:
        engine = engines.open_engine(url, waits_for_disk=True, limits=PATIENT_LIMITS)
        by_other = engines.databases_of(engine)
        for _repeat in range(2):
            left = erase(by_other, event_id)
            assert (left.are_samples_left, left.is_complete) == (True, False)
        retention.delete_expired(by_other, now=clock.now() + timedelta(hours=1))
        engine.dispose()
    assert sampled_mentions(database)
    assert noted() == [event_id]

    assert erase(databases, event_id).is_complete
    assert (sampled_mentions(database), noted()) == (0, [])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_request_leaves_the_statistics_to_retention_if_there_are_values(
    workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    [event_id] = workspace.send(batch_id=SECRET)
    [without_values] = workspace.send(batch_id="another")
    analyze(database)
    with database.begin() as connection:
        connection.execute(
            update(Event).where(Event.id == without_values).values(dict.fromkeys(VALUE_COLUMNS))
        )

    for _repeat in range(2):
        left = one_event.erase(databases, event_id, actor=TESTER, limits=IN_TIME)
        assert (left.are_samples_left, left.is_complete) == (True, False)
    assert sampled_mentions(database)
    assert one_event.erase(databases, without_values, actor=TESTER, limits=IN_TIME).is_complete
    assert noted() == [event_id]
    retention.delete_expired(databases, now=clock.now() + timedelta(hours=1))
    assert (sampled_mentions(database), noted()) == (0, [])
    assert one_event.erase(databases, event_id, actor=TESTER, limits=IN_TIME).is_complete


def test_a_refusal_says_that_there_was_no_time_to_cancel_all(
    workspace: Workspace, databases: Databases
) -> None:
    for _ in range(3):
        workspace.endpoint(URL)
    [event_id] = workspace.send()
    db.session.rollback()

    no_time = ErasureLimits(batch_rows=2, seconds=0)
    with pytest.raises(StillPending) as refused:
        one_event.erase(databases, event_id, cancel_pending=True, actor=TESTER, limits=no_time)
    assert (refused.value.was_time_over, refused.value.count) == (True, 3)
    text_of = erasure_messages.explain_pending(refused.value, was_cancel_asked=True)
    assert text_of == "3 deliveries are still to be canceled, or being sent; ask for it again."
    assert erase(databases, event_id, cancel_pending=True).deliveries_canceled == 3


def test_an_event_of_another_workspace_is_unknown(workspace: Workspace, databases: Databases) -> None:
    [event_id] = workspace.send()
    with pytest.raises(UnknownEvent):
        one_event.erase(databases, event_id, workspace_id="ws_other", actor=TESTER)
    assert has_payload() == [True]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_vacuum_that_is_at_work_is_not_ended_for_it_and_a_repeat_does_the_rest(
    workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    [event_id] = workspace.send(batch_id=SECRET)
    workspace.send(batch_id="another")
    analyze(database)
    with database.begin() as connection:  # as a vacuum does
        connection.execute(text("LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE"))
        erased = erase(databases, event_id, cancel_pending=True)
    assert (erased.was_erased, erased.are_samples_left, has_payload()) == (False, True, [False, True])
    assert sampled_mentions(database)

    assert not erase(databases, event_id).are_samples_left
    assert sampled_mentions(database) == 0


@pytest.mark.parametrize("event_id", ["evt_06h1f5sup0epvhl0eq18hl5jfg", "nonsense", "dlv_x"])
def test_what_is_no_event_is_unknown(databases: Databases, event_id: str) -> None:
    with pytest.raises(UnknownEvent):
        erase(databases, event_id)
    assert not db.session.scalars(select(Event)).all()


def test_nothing_is_canceled_unless_that_is_asked_for(workspace: Workspace, databases: Databases) -> None:
    workspace.endpoint(URL)
    [event_id] = workspace.send()
    db.session.rollback()
    for erase_it in (one_event.erase, one_event.erase_rows):
        with pytest.raises(StillPending) as refused:
            erase_it(databases, event_id, actor=TESTER)
        assert (refused.value.canceled, refused.value.was_time_over) == (0, False)
    assert states(event_id) == {"pending"}


def test_what_is_held_of_another_event_stays_held(
    workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(URL))
    actions.disable(database, endpoint, actor=TESTER)
    erased, kept = workspace.send(2)
    assert erase(databases, erased, cancel_pending=True).deliveries_canceled == 1
    assert (states(erased), states(kept)) == ({"canceled"}, {"held"})
