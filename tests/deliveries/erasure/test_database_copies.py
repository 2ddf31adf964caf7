"""Copies of payloads outside their rows: what is left of each event is said of that event alone."""

from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import Workspace
from tests.deliveries.erasure.test_one_event import NO_WAIT, copies_kept
from tests.deliveries.test_payload_retention import SECRET, analyze
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.deliveries.erasure import database_copies
from webhooks_app.deliveries.erasure.erased_event import ErasedEvent


def erased(workspace: Workspace, *, samples: bool = False, wal: bool = False) -> ErasedEvent:
    return ErasedEvent(
        event_id="evt_1",
        workspace_id=workspace.id,
        payload_erased_at=clock.now(),
        was_erased=False,
        deliveries_canceled=0,
        attempts_erased=0,
        are_attempts_left=False,
        are_samples_left=samples,
        is_left_in_wal=wal,
        may_come_back=False,
    )


def test_what_one_event_has_left_no_other_has(
    workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    whole, none = erased(workspace, samples=True, wal=True), erased(workspace)
    workspace.send(batch_id=SECRET)
    workspace.send(batch_id="another")
    analyze(database)
    with copies_kept(database, databases):
        left, nothing = database_copies.forget_copies(databases, [whole, none], limits=NO_WAIT)
    is_sqlite = database.dialect.name == "sqlite"
    assert (left.are_samples_left, left.is_left_in_wal) == (not is_sqlite, is_sqlite)
    assert (nothing.are_samples_left, nothing.is_left_in_wal) == (False, False)
    assert (left.is_complete, nothing.is_complete) == (False, True)


@pytest.mark.parametrize("left", ["are_attempts_left", "are_samples_left", "is_left_in_wal", "may_come_back"])
def test_an_erasure_is_complete_once_nothing_is_left_and_nothing_may_come_back(
    workspace: Workspace, left: str
) -> None:
    whole, changes = erased(workspace), dict[str, Any]({left: True})
    assert whole.is_complete
    assert not replace(whole, **changes).is_complete


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_where_nothing_is_sampled_no_samples_are_left(workspace: Workspace, databases: Databases) -> None:
    [done] = database_copies.forget_copies(databases, [erased(workspace, samples=True)], limits=NO_WAIT)
    assert not done.are_samples_left
