"""Replay: of one delivery or of a page of them."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from tests.deliveries.conftest import claim, newest_ids, statements
from tests.receivers import Receiver
from webhooks_app.core import ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AuditEntry, Delivery, DeliveryState
from webhooks_app.deliveries import replays
from webhooks_app.deliveries.replays import ReplayResult
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine


@pytest.fixture
def finished(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> list[str]:
    """Deliveries that arrived, the newest first."""
    workspace.endpoint(receiver.url)
    workspace.send(20)
    engine.run(seconds=60)
    return newest_ids(workspace)


def audited() -> list[str]:
    db.session.rollback()
    replayed = select(AuditEntry.target).where(AuditEntry.action == "delivery.replay")
    return list(db.session.scalars(replayed.order_by(AuditEntry.target)))


def test_a_replay_of_a_finished_delivery_takes_four_statements(
    workspace: Workspace, finished: list[str], database: WriteDatabase, wake_ups: WakeUps
) -> None:
    with statements() as asked:
        result = replays.replay(database, wake_ups, workspace.id, finished[0], actor=TESTER)

    assert result is ReplayResult.STARTED
    assert len(asked) == 4
    assert audited() == [finished[0]]


def test_sending_now_takes_three_statements_and_so_does_a_refusal(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    [delivery_id] = newest_ids(workspace)

    with statements() as asked:
        sent = replays.replay(database, wake_ups, workspace.id, delivery_id, actor=TESTER)
    assert (sent, len(asked)) == (ReplayResult.SENT_NOW, 3)

    claim(database, delivery_id)
    with statements() as asked:
        refused = replays.replay(database, wake_ups, workspace.id, delivery_id, actor=TESTER)
    assert (refused, len(asked)) == (ReplayResult.IN_FLIGHT, 3)
    assert audited() == [delivery_id]


def test_a_page_of_replays_takes_as_few_statements_as_one(
    workspace: Workspace, finished: list[str], database: WriteDatabase, wake_ups: WakeUps
) -> None:
    workspace.send(3)
    waiting = newest_ids(workspace)[:3]
    claim(database, waiting[0])

    with statements() as asked:
        results = replays.replay_several(
            database, wake_ups, workspace.id, [*finished, *waiting], actor=TESTER
        )

    assert results == {ReplayResult.STARTED: 20, ReplayResult.SENT_NOW: 2, ReplayResult.IN_FLIGHT: 1}
    assert len(asked) == 6
    assert audited() == sorted([*finished, *waiting[1:]])


def test_what_is_not_the_workspaces_is_unknown_and_then_nothing_is_replayed(
    workspace: Workspace,
    make_workspace: Callable[[str], Workspace],
    finished: list[str],
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    other = make_workspace("Other")
    for workspace_id, named in (
        (other.id, finished[:1]),
        (workspace.id, [finished[0], ids.new("dlv")]),
        (workspace.id, [finished[0], "\0"]),
    ):
        with pytest.raises(replays.UnknownDelivery):
            replays.replay_several(database, wake_ups, workspace_id, named, actor=TESTER)
    assert audited() == []
    assert db.session.get_one(Delivery, finished[0]).state is DeliveryState.DELIVERED


def test_two_who_replay_the_same_page_at_once_both_come_to_an_end(
    workspace: Workspace, finished: list[str], database: WriteDatabase, wake_ups: WakeUps
) -> None:
    def replay(named: list[str]) -> Counter[ReplayResult]:
        return replays.replay_several(database, wake_ups, workspace.id, named, actor=TESTER)

    with ThreadPoolExecutor(2) as pool:
        results = sum(pool.map(replay, [finished, finished[::-1]]), Counter())

    assert results == {ReplayResult.STARTED: 20, ReplayResult.SENT_NOW: 20}


def test_several_replays_are_one_action_with_a_result_each(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(2)
    engine.run(seconds=60)
    workspace.send()

    results = replays.replay_several(database, wake_ups, workspace.id, newest_ids(workspace), actor=TESTER)

    assert results == {ReplayResult.STARTED: 2, ReplayResult.SENT_NOW: 1}
    engine.run(seconds=60)
    assert len(receiver.received) == 5
