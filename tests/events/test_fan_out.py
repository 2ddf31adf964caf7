"""Fanning out: whose endpoint gets what of a group of events, and in which state."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from tests.listeners.listening import begin
from tests.statements import noted_statements
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.event_inserts import NewEventRow
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, FanOut, PendingDelivery
from webhooks_app.endpoints import actions
from webhooks_app.events import accept, fan_out, subscribers
from webhooks_app.events.fan_out import DEFAULT_LIMITS, FannedOut, FanOutLimits
from webhooks_app.events.submissions import NewEvent, Submission
from webhooks_app.events.subscribers import EventSource
from webhooks_app.extensions import db


def event_row(workspace: Workspace, name: str, *, key: str | None = None) -> NewEventRow:
    new = Submission(workspace.id, [NewEvent.of(name, {"batch_id": "b1"})], key)
    return accept.event_rows(new, clock.now())[0]


def fan(
    database: WriteDatabase, events: Sequence[NewEventRow], *, limits: FanOutLimits = DEFAULT_LIMITS
) -> FannedOut:
    with database.begin() as connection:
        return fan_out.fan_out(connection, events, clock.now(), limits=limits)


def test_a_group_of_several_workspaces_reaches_each_ones_own_endpoints(
    make_workspace: Callable[[str], Workspace], database: WriteDatabase
) -> None:
    ours, theirs, empty = (make_workspace(name) for name in ("Ours", "Theirs", "Empty"))
    all_of_ours = ours.endpoint("https://a.example.com/")
    some = {"all_events": False, "event_types": ("batch-lifecycle",)}
    chosen_of_ours = ours.endpoint("https://b.example.com/", **some)
    chosen_of_theirs = theirs.endpoint("https://c.example.com/", **some)
    events = [
        event_row(ours, "batch-lifecycle"),
        event_row(ours, "batch-request"),
        event_row(theirs, "batch-lifecycle"),
        event_row(theirs, "batch-request"),
        event_row(empty, "batch-lifecycle"),
    ]

    fanned_out = fan(database, events)

    assert [fanned_out.deliveries[row.id] for row in events] == [2, 1, 1, 0, 0]
    assert fanned_out.is_due
    assert fanned_out.rest is None
    db.session.rollback()
    rows = db.session.execute(select(Delivery.event_id, Delivery.endpoint_id, Delivery.workspace_id)).all()
    assert {tuple(row) for row in rows} == {
        (events[0].id, all_of_ours, ours.id),
        (events[0].id, chosen_of_ours, ours.id),
        (events[1].id, all_of_ours, ours.id),
        (events[2].id, chosen_of_theirs, theirs.id),
    }
    assert set(db.session.scalars(select(PendingDelivery.delivery_id))) == set(
        db.session.scalars(select(Delivery.id))
    )


def test_of_a_group_only_what_goes_to_a_disabled_endpoint_is_held(
    workspace: Workspace, database: WriteDatabase
) -> None:
    enabled, disabled = (workspace.endpoint(f"https://{name}.example.com/") for name in "ab")
    actions.disable(database, db.session.get_one(Endpoint, disabled), actor=TESTER)

    fan(database, [event_row(workspace, name) for name in ("batch-lifecycle", "batch-request")])

    db.session.rollback()
    rows = db.session.execute(select(Delivery.endpoint_id, Delivery.state, Delivery.next_attempt_at)).all()
    assert sorted((row.endpoint_id, row.state, row.next_attempt_at is None) for row in rows) == sorted(
        [(enabled, DeliveryState.PENDING, False), (disabled, DeliveryState.HELD, True)] * 2
    )
    assert set(db.session.scalars(select(PendingDelivery.endpoint_id))) == {enabled}


def test_nothing_is_due_where_everything_is_held(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint("https://a.example.com/"))
    actions.disable(database, endpoint, actor=TESTER)

    assert not fan(database, [event_row(workspace, "batch-lifecycle")]).is_due


def test_a_deleted_endpoint_gets_nothing(workspace: Workspace, database: WriteDatabase) -> None:
    kept, deleted = (workspace.endpoint(f"https://{name}.example.com/") for name in "ab")
    actions.remove(database, db.session.get_one(Endpoint, deleted), actor=TESTER)

    fan(database, [event_row(workspace, "batch-lifecycle")])

    db.session.rollback()
    assert db.session.scalars(select(Delivery.endpoint_id)).all() == [kept]


def test_exactly_what_one_transaction_inserts_leaves_no_rest(
    workspace: Workspace, database: WriteDatabase
) -> None:
    for name in "abc":
        workspace.endpoint(f"https://{name}.example.com/")
    limits = FanOutLimits(smallest_piece=3, lease_seconds=60)
    now = clock.now()

    assert fan(database, [event_row(workspace, "batch-lifecycle")], limits=limits).rest is None
    rest = fan(
        database, [event_row(workspace, "batch-lifecycle")], limits=replace(limits, smallest_piece=2)
    ).rest

    assert rest is not None and ids.is_id("fan", rest.id)
    db.session.rollback()
    recorded = db.session.scalars(select(FanOut)).one()
    assert (recorded.id, recorded.position) == (rest.id, 2)
    assert recorded.taken_until >= now + timedelta(seconds=60)
    made = db.session.scalars(select(Delivery.id)).all()
    assert len(made) == 5
    assert all(ids.is_id("dlv", each) for each in made)


def test_where_no_endpoint_is_disabled_one_statement_reads_whom_events_go_to(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    rows = [event_row(workspace, name) for name in ("batch-lifecycle", "batch-request")]
    with noted_statements() as asked:
        fan(database, rows)
    assert len([each for each in asked if each.lstrip().startswith("SELECT")]) == 1


def test_of_what_is_inserted_in_pieces_the_first_one_says_whether_it_is_due(
    workspace: Workspace, database: WriteDatabase
) -> None:
    names = [workspace.endpoint(f"https://{name}.example.com/") for name in "abc"]
    pieces = FanOutLimits(smallest_piece=2)
    assert fan(database, [event_row(workspace, "batch-lifecycle")], limits=pieces).is_due is True
    for name in names:
        actions.disable(database, db.session.get_one(Endpoint, name), actor=TESTER)
    held = fan(database, [event_row(workspace, "batch-lifecycle")], limits=pieces)
    assert (held.is_due, held.rest is not None) == (False, True)


def test_nothing_is_due_of_an_event_whose_key_was_used(workspace: Workspace, database: WriteDatabase) -> None:
    names = ("batch-lifecycle", "batch-request")
    _, other = [
        workspace.endpoint("https://a.example.com/", all_events=False, event_types=(name,)) for name in names
    ]
    fan(database, [event_row(workspace, "batch-lifecycle", key="used")])
    repeated = event_row(workspace, "batch-lifecycle", key="used")
    again = fan(database, [repeated, event_row(workspace, "batch-request")])
    assert set(again.due_endpoints) == {other}
    assert fan(database, [repeated]).is_due is False


def test_of_those_who_have_something_due_now_the_listeners_are_named(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint = workspace.endpoint("https://a.example.com/")
    listener = begin(workspace).endpoint_id
    begin(workspace, name="other", all_events=False, event_types=("batch-request",))
    names = ("batch-lifecycle", "batch-request")
    with database.begin() as connection:
        senders = (EventSource(None, workspace.id, name) for name in names)
        found = subscribers.find(connection, senders)
        events = [event_row(workspace, names[0])]
        fanned_out = fan_out.fan_out(connection, events, clock.now(), found=found)
    assert set(fanned_out.due_endpoints) == {endpoint, listener}
    assert set(fanned_out.due_listeners) == {listener}
