"""Accepting several events at once: all or none of them, and the same answer to a repeat."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, func, select

from tests.conftest import Workspace
from webhooks_app.core import ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AcceptedBatch, Delivery, Event
from webhooks_app.events import accept, batch_keys
from webhooks_app.events.fan_out import FanOutLimits, Rest
from webhooks_app.events.submissions import KeyReused, NewEvent, Submission, SubmissionResult
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps

DATA = {"batch_id": "b1", "status": "succeeded"}
EVENT = NewEvent.of("batch-lifecycle", DATA)
OTHER = NewEvent.of("batch-lifecycle", DATA | {"batch_id": "b2"})


class Producer:
    """Hands submissions over; what is left to be fanned out stays left."""

    def __init__(self, workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps) -> None:
        self._workspace_id, self._database, self._wake_ups = workspace.id, database, wake_ups
        self.rests: list[Rest] = []

    def send(
        self, events: Sequence[NewEvent], limits: FanOutLimits | None = None, **keys: str | None
    ) -> SubmissionResult:
        [outcome] = self.send_together((events, keys), limits=limits)
        return outcome

    def send_together(
        self,
        *several: tuple[Sequence[NewEvent], Mapping[str, str | None]],
        limits: FanOutLimits | None = None,
    ) -> Sequence[SubmissionResult]:
        return accept.commit(
            self._database,
            self._wake_ups,
            [Submission(self._workspace_id, events, **keys) for events, keys in several],
            handle_rest=self.rests.append,
            limits=limits or FanOutLimits(),
        )


@pytest.fixture
def producer(workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps) -> Producer:
    return Producer(workspace, database, wake_ups)


def count(model: type[Event] | type[Delivery]) -> int:
    db.session.rollback()
    return db.session.scalars(select(func.count()).select_from(model)).one()


@contextmanager
def transactions() -> Iterator[list[Connection]]:
    """Yield a list that gets the connection of each that is committed."""
    committed: list[Connection] = []

    def note(connection: Connection) -> None:
        committed.append(connection)

    event.listen(db.engine, "commit", note)
    yield committed
    event.remove(db.engine, "commit", note)


def accepted(outcome: SubmissionResult) -> list[tuple[str, int, bool]]:
    assert not isinstance(outcome, Exception), repr(outcome)
    return [(each.id, each.deliveries, each.is_repeat) for each in outcome]


def test_a_batch_under_its_key_is_accepted_once(producer: Producer, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    first = accepted(producer.send([EVENT, OTHER], batch_key="b"))
    assert all(ids.is_id("bat", each) for each in db.session.scalars(select(AcceptedBatch.id)))
    again = accepted(producer.send([EVENT, OTHER], batch_key="b"))
    assert [each[1:] for each in first] == [(1, False)] * 2
    assert again == [(name, number, True) for name, number, _ in first]
    reused = producer.send([OTHER, EVENT], batch_key="b")
    assert isinstance(reused, KeyReused) and reused.position is None
    assert (count(Event), count(Delivery)) == (2, 2)


def test_of_batches_that_come_together_under_one_key_the_first_is_accepted(
    producer: Producer, workspace: Workspace
) -> None:
    workspace.endpoint("https://a.example.com/")
    same, other = ([EVENT, OTHER], {"batch_key": "b"}), ([OTHER, EVENT], {"batch_key": "b"})
    alone = ([EVENT], {"batch_key": "a"})
    with transactions() as committed:
        first, again, reused, lone, once_more = producer.send_together(same, same, other, alone, same)
    assert len(committed) == 1
    stored = accepted(first)
    assert [each[1:] for each in stored] == [(1, False)] * 2
    assert accepted(again) == accepted(once_more) == [(name, number, True) for name, number, _ in stored]
    assert isinstance(reused, KeyReused) and reused.position is None
    assert len(accepted(lone)) == 1
    assert accepted(producer.send([EVENT, OTHER], batch_key="b")) == accepted(again)
    assert (count(Event), count(Delivery)) == (3, 3)


def test_batches_of_two_workspaces_that_come_together_may_have_the_same_key(
    workspace: Workspace,
    make_workspace: Callable[[str], Workspace],
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    both = [Submission(each.id, [EVENT], batch_key="b") for each in (workspace, make_workspace("Initech"))]
    outcomes = accept.commit(database, wake_ups, both, handle_rest=lambda _rest: None)
    assert [each[2] for outcome in outcomes for each in accepted(outcome)] == [False, False]
    assert count(Event) == 2


@pytest.mark.parametrize("own_key", [None, "used", "new"])
def test_events_keys_in_batches_that_come_together_under_one_key(
    producer: Producer, own_key: str | None
) -> None:
    producer.send([OTHER], idempotency_key="used")
    keyed = ([replace(EVENT, idempotency_key=own_key), OTHER], {"batch_key": "b"})
    outcomes = producer.send_together(keyed, keyed)
    if own_key == "used":
        assert [getattr(each, "position", None) for each in outcomes] == [0, 0]
    else:
        [first, again] = map(accepted, outcomes)
        assert [each[0] for each in first] == [each[0] for each in again]
        assert [each[2] for each in again] == [True, True]


@pytest.mark.parametrize("batch_key", [None, "b"])
def test_an_event_whose_key_is_anothers_keeps_its_whole_batch_out(
    producer: Producer, workspace: Workspace, batch_key: str | None
) -> None:
    workspace.endpoint("https://a.example.com/")
    producer.send([EVENT], idempotency_key="k")
    batch = [EVENT, replace(OTHER, idempotency_key="k")]
    reused = producer.send(batch, batch_key=batch_key)
    assert isinstance(reused, KeyReused) and reused.position == 1
    assert (count(Event), count(Delivery)) == (1, 1)
    if batch_key:  # which was not used up
        assert len(accepted(producer.send([EVENT, OTHER], batch_key=batch_key))) == 2


def test_of_a_batch_of_one_the_event_is_named_whose_key_it_is(producer: Producer) -> None:
    producer.send([EVENT], idempotency_key="k")
    reused = producer.send([replace(OTHER, idempotency_key="k")], batch_key="b")
    assert isinstance(reused, KeyReused) and reused.position == 0
    alone = producer.send([OTHER], idempotency_key="k")
    assert isinstance(alone, KeyReused) and alone.position is None
    assert count(Event) == 1


def test_a_repeat_counts_the_deliveries_that_an_event_still_gets(
    producer: Producer, workspace: Workspace
) -> None:
    for number in range(3):
        workspace.endpoint(f"https://{number}.example.com/")
    limits = FanOutLimits(smallest_piece=2)
    [first] = accepted(producer.send([EVENT], limits, idempotency_key="k"))
    assert (len(producer.rests), count(Delivery)) == (1, 2)
    [again] = accepted(producer.send([EVENT], limits, idempotency_key="k"))
    assert (first[1:], again) == ((3, False), (first[0], 3, True))


def test_as_many_deliveries_as_a_piece_holds_leave_no_rest(producer: Producer, workspace: Workspace) -> None:
    for number in range(2):
        workspace.endpoint(f"https://{number}.example.com/")
    producer.send([EVENT], FanOutLimits(smallest_piece=2))
    assert (producer.rests, count(Delivery)) == ([], 2)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
@pytest.mark.parametrize("names", [["batch_key"], ["key"], ["key", "other"]], ids=" ".join)
def test_a_key_that_retention_frees_while_it_is_looked_up_is_new(
    producer: Producer, database: WriteDatabase, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    def send_all() -> Sequence[SubmissionResult]:
        if names == ["batch_key"]:
            return producer.send_together(([EVENT, OTHER], {"batch_key": "key"}))
        return producer.send_together(*(([EVENT], {"idempotency_key": name}) for name in names))

    earlier = send_all()
    module, look_up = (batch_keys, "_earlier") if names == ["batch_key"] else (accept, "_accepted_before")
    real, moments = getattr(module, look_up), iter([True])

    def free_first(*given: Any) -> Any:
        if next(moments, False):
            with database.begin() as other:
                other.execute(delete(AcceptedBatch))
                other.execute(delete(Event).where(Event.idempotency_key.is_distinct_from("other")))
        return real(*given)

    monkeypatch.setattr(module, look_up, free_first)
    outcomes = send_all()

    first, later = (
        [each for each in some if not isinstance(each, Exception)] for some in (earlier, outcomes)
    )
    assert len(first) == len(later) == len(names)
    assert [each.is_repeat for some in later for each in some] == (
        [False, False] if names == ["batch_key"] else [name == "other" for name in names]
    )
    assert {each.id for each in first[0]}.isdisjoint(each.id for each in later[0])
