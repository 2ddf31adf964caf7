"""When a group may be accepted by one statement without a transaction around it, and when it is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, event, func, select

from tests.conftest import Workspace
from webhooks_app.db.engines import Databases
from webhooks_app.db.event_inserts import NewEventRow
from webhooks_app.db.models import AcceptedBatch, Delivery, Event
from webhooks_app.db.transaction_options import AUTOCOMMITS, WRITES
from webhooks_app.events import accept, fan_out, subscribers
from webhooks_app.events.fan_out import FanOutLimits
from webhooks_app.events.submissions import NewEvent, Submission, SubmissionResult
from webhooks_app.events.subscribers import EventSource, Subscribers
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps

TOPIC, OTHER = ("ws_1", "a"), ("ws_1", "b")
LIMITS = FanOutLimits(smallest_piece=4)


def row(topic: tuple[str, str], key: str | None = None) -> NewEventRow:
    return NewEventRow("evt_1", *topic, b"{}", key, None)


@pytest.mark.parametrize(
    ("rows", "is_one"),
    [
        ([row(TOPIC)], True),
        ([row(TOPIC), row(TOPIC)], True),  # as many deliveries as a piece holds
        ([row(TOPIC), row(TOPIC), row(OTHER)], False),
        ([row(TOPIC), row(("ws_2", "a"))], True),  # whose workspace has no endpoints
        ([row(TOPIC, "key")], False),  # the event that has the key is looked for then
        ([row(OTHER), row(OTHER, "key")], False),
    ],
)
def test_it_is_one_without_keys_and_with_no_more_than_a_piece(rows: list[NewEventRow], is_one: bool) -> None:
    found = Subscribers({}, {TOPIC: ["ep_1", "ep_2"], OTHER: ["ep_3"]}, frozenset())
    assert fan_out.is_one_statement(rows, found, LIMITS) is is_one


def test_it_is_more_than_one_where_an_endpoint_is_disabled() -> None:
    """Whether it still is takes a look, under a lock."""
    found = Subscribers({}, {TOPIC: ["ep_1"]}, frozenset({"ep_1"}))
    assert fan_out.is_one_statement([row(TOPIC)], found, LIMITS) is False


EVENT = NewEvent.of("batch-lifecycle", {"batch_id": "b1", "status": "succeeded"})
Accept = Callable[..., Sequence[SubmissionResult]]


@pytest.fixture
def accept_group(workspace: Workspace, databases: Databases, wake_ups: WakeUps) -> Accept:
    """Accepts submissions of the workspace, with two endpoints that subscribe, as one group."""
    for number in range(2):
        workspace.endpoint(f"https://{number}.example.com/")

    def accept_group(
        *batch_keys: str | None, is_looked_up: bool = True, limits: FanOutLimits = LIMITS
    ) -> Sequence[SubmissionResult]:
        with databases.read.connect() as connection:
            found = subscribers.find(connection, [EventSource(None, workspace.id, EVENT.type)])
        return accept.commit(
            databases.write,
            wake_ups,
            [Submission(workspace.id, [EVENT], batch_key=each) for each in batch_keys],
            handle_rest=lambda _rest: None,
            found=found if is_looked_up else None,
            limits=limits,
        )

    return accept_group


@contextmanager
def refused(databases: Databases, what: str) -> Iterator[None]:
    """Have the database refuse such a change, as `INSERT ON events`."""
    trigger = f"CREATE TRIGGER refuse BEFORE {what} FOR EACH ROW"
    statements = [f"{trigger} BEGIN SELECT RAISE(ABORT, 'refused'); END"]
    if is_postgresql := databases.write.dialect.name == "postgresql":
        statements = [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
            f"{trigger} EXECUTE FUNCTION refuse()",
        ]
    with databases.write.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    try:
        yield
    finally:
        drop = "DROP FUNCTION refuse CASCADE" if is_postgresql else "DROP TRIGGER refuse"
        with databases.write.begin() as connection:
            connection.exec_driver_sql(drop)


def counts(databases: Databases) -> list[int]:
    with databases.read.connect() as connection:
        tables = (AcceptedBatch, Event, Delivery)
        return [connection.scalar(select(func.count()).select_from(each)) or 0 for each in tables]


@pytest.mark.parametrize("is_looked_up", [True, False])
def test_of_a_keyed_batch_that_fails_in_its_second_part_nothing_is_left(
    databases: Databases, accept_group: Accept, is_looked_up: bool
) -> None:
    with refused(databases, "UPDATE ON accepted_batches"):
        plain, keyed = accept_group(None, "key", is_looked_up=is_looked_up)
    assert isinstance(keyed, Exception)
    assert not isinstance(plain, Exception)  # which was tried alone behind it
    assert counts(databases) == [0, 1, 2]
    assert not isinstance(accept_group("key")[0], Exception)
    assert counts(databases) == [1, 2, 4]


@pytest.mark.parametrize("is_looked_up", [True, False])
def test_of_an_event_whose_rest_cannot_be_recorded_nothing_is_left(
    databases: Databases, accept_group: Accept, is_looked_up: bool
) -> None:
    with refused(databases, "INSERT ON fan_outs"):
        [outcome] = accept_group(None, is_looked_up=is_looked_up, limits=FanOutLimits(smallest_piece=1))
    assert isinstance(outcome, Exception)
    assert counts(databases) == [0, 0, 0]


@pytest.mark.parametrize(
    ("batch_keys", "is_looked_up", "smallest_piece", "is_single"),
    [
        ([None], True, 2, True),
        ([None, None], True, 4, True),
        ([None, "key"], True, 4, False),
        (["key"], True, 2, False),
        ([None], False, 2, False),
        ([None], True, 1, False),
        (["key"], False, 1, False),
    ],
)
def test_a_transaction_is_around_whatever_takes_more_than_one_statement(
    accept_group: Accept,
    batch_keys: list[str | None],
    is_looked_up: bool,
    smallest_piece: int,
    is_single: bool,
) -> None:
    are_single: list[bool] = []

    def note(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options[WRITES]:
            are_single.append(bool(options.get(AUTOCOMMITS)))

    event.listen(db.engine, "begin", note)
    limits = FanOutLimits(smallest_piece=smallest_piece)
    outcomes = accept_group(*batch_keys, is_looked_up=is_looked_up, limits=limits)
    event.remove(db.engine, "begin", note)
    assert [isinstance(each, Exception) for each in outcomes] == [False] * len(batch_keys)
    assert are_single == [is_single]
