"""What a relay does to the outbox's rows, and what can be read of them, without a platform."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest

from avra_client import dbapi
from avra_client.claimed_rows import Claim, Outcomes
from avra_client.outbox_state import OutboxState
from tests.avra_client.conftest import Store
from tests.waiting import wait_for

FRESH = ("pending", 0, None, None, None, None)
COLUMNS = "SELECT state, due_at, claimed_by, handed_over_at, settled_at, error FROM avra_outbox"


def claim(store: Store, token: str = "a", *, now: int = 1000, lease: int = 60_000, limit: int = 9) -> Claim:
    return store.rows().claim(token, limit=limit, limit_bytes=10**6, now=now, lease=lease, forgotten_before=0)


@contextmanager
def open_transaction(store: Store, *statements: str) -> Iterator[Any]:
    """Hold what the statements lock, as an app does that is slow."""
    with closing(store.connect()) as holder, closing(holder.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield
        holder.rollback()


def test_a_row_is_due_at_its_moment_and_claimed_until_the_lease_ends(store: Store) -> None:
    healthy, failing = store.fill(2)
    store.run(f"UPDATE avra_outbox SET error = '500', settled_at = 1 WHERE id = '{failing}'")
    store.run("UPDATE avra_outbox SET due_at = 1000")
    assert not claim(store, now=999).rows
    assert [row.id for row in claim(store, "healthy").rows] == [healthy]
    assert [row.id for row in claim(store, "failing").rows] == [failing]
    assert not claim(store, now=60_999).rows
    assert [row.id for row in claim(store, now=61_000).rows] == [healthy]


def test_what_is_retried_or_resent_is_as_it_was_written(store: Store) -> None:
    store.fill(2)
    taken = claim(store)
    refused = Outcomes({taken.rows[0].id: "evt_1"}, {taken.rows[1].id: "refused"})
    store.rows().record(taken, refused, now=2000, keeps_sent=True)
    assert store.rows().retry() == 1
    assert store.run(f"{COLUMNS} WHERE id = '{taken.rows[1].id}'") == [FRESH]
    assert (store.rows().resend(since=2001), store.rows().resend(since=2000)) == (0, 1)
    # When it was first handed over stays: sent again, it is the same event only as long as its key is known.
    [resent] = store.run(f"{COLUMNS} WHERE id = '{taken.rows[0].id}'")
    assert (resent[:3], resent[3]) == (FRESH[:3], 1000)


def test_rows_that_are_kept_do_not_hide_older_ones_where_few_are_read_at_once(store: Store) -> None:
    kept, _ = store.fill(2)
    store.run("UPDATE avra_outbox SET state = 'sent', created_at = 1000, settled_at = 1000")
    store.run(f"UPDATE avra_outbox SET settled_at = 3000 WHERE id = '{kept}'")
    assert store.rows().expire_sent(before=2000, most=1) == 1
    assert store.states() == {kept: "sent"}


@pytest.mark.parametrize("empty_store", ["sqlite"], indirect=True)
def test_nothing_that_only_reads_waits_for_an_app_that_writes(store: Store) -> None:
    [row_id] = store.fill(1)
    claim(store)
    with open_transaction(store, "BEGIN IMMEDIATE"):
        rows = store.rows()
        assert not claim(store, now=2000).rows, "nothing is due, so that it needs no lock"
        assert rows.backlog()[0] == 1
        assert rows.counts() == {"pending": 1}
        assert rows.claimed(2000) == (1, 59)
        assert (rows.set_aside(), rows.failing()) == ([], [])
    assert store.states() == {row_id: "pending"}


def record_after_a_deadlock(store: Store, _client: Any = None) -> None:
    """MySQL lets the one live that has changed more, PostgreSQL mostly the one that has waited less."""
    one, two, *others = store.fill(20)
    taken = claim(store, limit=2)
    refused = Outcomes({}, {one: "refused", two: "refused"})
    with ThreadPoolExecutor(1) as pool, closing(store.connect()) as other, closing(other.cursor()) as cursor:
        for row_id in (two, *others):
            cursor.execute(f"UPDATE avra_outbox SET error = 'other' WHERE id = '{row_id}'")
        rows = store.rows()
        recorded = pool.submit(rows.record, taken, refused, now=2000, keeps_sent=False)
        wait_for(lambda: _is_locked(store, one))
        try:
            cursor.execute(f"UPDATE avra_outbox SET error = 'other' WHERE id = '{one}'")
        except Exception as error:  # on a machine that stood still for a second
            if not dbapi.is_deadlock(error):
                raise
        other.rollback()
        recorded.result(60)
    assert [store.states()[each] for each in (one, two)] == ["rejected", "rejected"]


def _is_locked(store: Store, row_id: str) -> bool:
    with closing(store.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT id FROM avra_outbox WHERE id = '{row_id}' FOR UPDATE SKIP LOCKED")
        is_free = bool(cursor.fetchall())
        connection.rollback()
        return not is_free


@pytest.mark.parametrize("empty_store", ["postgresql"], indirect=True)
def test_what_came_of_a_claim_is_recorded_after_a_deadlock(store: Store) -> None:
    record_after_a_deadlock(store)


def pass_over_what_is_locked(store: Store, _client: Any = None) -> None:
    locked, free = store.fill(2)
    with open_transaction(store, f"SELECT id FROM avra_outbox WHERE id = '{locked}' FOR UPDATE"):
        assert [row.id for row in claim(store).rows] == [free]
    assert [row.id for row in claim(store).rows] == [locked]


@pytest.mark.parametrize("empty_store", ["postgresql"], indirect=True)
def test_rows_that_another_relay_has_in_hand_are_passed_over(store: Store) -> None:
    pass_over_what_is_locked(store)


def test_the_backlog_is_how_many_wait_since_when_and_how_many_fail(store: Store) -> None:
    state: OutboxState = store.rows()
    assert state.backlog() == (0, None, 0)
    oldest, failing, sent = store.fill(3)
    store.run(f"UPDATE avra_outbox SET created_at = 7 WHERE id = '{oldest}'")
    store.run(f"UPDATE avra_outbox SET created_at = 9, error = '500' WHERE id = '{failing}'")
    store.run(f"UPDATE avra_outbox SET created_at = 1, state = 'sent' WHERE id = '{sent}'")
    assert store.rows().backlog() == (2, 7, 1)


def test_claims_are_counted_until_they_end(store: Store) -> None:
    held, _ = store.fill(2)
    assert store.rows().claimed(1000) is None
    claim(store, limit=1, lease=1_001_000)
    store.run(f"UPDATE avra_outbox SET due_at = 9000, error = '500' WHERE id <> '{held}'")
    assert store.rows().claimed(1000) == (1, 1001), "one that waits for its next turn is no claim"
    assert store.rows().claimed(2_001_999) is None
    assert store.rows().claimed(1_001_999) == (1, 1)
    assert store.rows().claimed(1_002_000) is None


def test_a_hundred_are_listed_that_are_set_aside_or_fail(store: Store) -> None:
    ids = store.fill(101)
    assert store.rows().failing() == []
    store.run("UPDATE avra_outbox SET error = '500'")
    assert store.rows().failing() == [(each, "failing", "batch-lifecycle", "500") for each in ids[:100]]
    store.run("UPDATE avra_outbox SET state = 'rejected', error = NULL")
    store.run(f"UPDATE avra_outbox SET state = 'unknown', error = 'why' WHERE id = '{ids[0]}'")
    first, *others = store.rows().set_aside()
    assert first == (ids[0], "unknown", "batch-lifecycle", "why")
    assert others == [(each, "rejected", "batch-lifecycle", "") for each in ids[1:100]]
    assert store.rows().failing() == []
