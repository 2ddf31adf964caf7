"""The relay against a running platform, on an outbox in either database."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from avra_client import outbox_schema
from avra_client.claimed_rows import Failing, Outcomes
from avra_client.client import Client
from avra_client.relay import HandOverFailed, Relay
from avra_client.relay_outcomes import events
from avra_client.relay_state import RelayLimits
from tests.avra_client.conftest import Store, accepted_keys
from tests.conftest import TESTER, Workspace
from tests.free_ports import free_port
from tests.served_app import served
from tests.waiting import wait_for
from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.db.models import Event
from webhooks_app.extensions import db, services

HOUR_MS = 3_600_000
QUICK = {"lease_seconds": 60, "send_seconds": 30, "poll_seconds": 0.02, "first_pause_seconds": 0.05}


@contextmanager
def running(relay: Relay) -> Iterator[Relay]:
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(stop,))
    thread.start()
    try:
        yield relay
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_everything_is_handed_over_once_and_in_order(store: Store, client: Client) -> None:
    ids = store.fill(25)
    relay = store.relay(client, batch=10)
    assert relay.run_once() == 25
    assert accepted_keys() == ids
    assert store.states() == {}
    assert relay.run_once() == 0
    assert (relay.state.totals.sent, relay.state.totals.repeated) == (25, 0)


def test_an_event_arrives_as_it_was_written(store: Store, client: Client) -> None:
    store.fill(1, note="Grüße 🚀 {0} %s %(x)s ? :id")
    store.relay(client).run_once()
    [event] = db.session.query(Event)
    assert json.loads(event.body)["data"]["note"] == "Grüße 🚀 {0} %s %(x)s ? :id"


def test_a_batch_has_no_more_bytes_than_the_limit_and_at_least_one_row(store: Store, client: Client) -> None:
    ids = store.fill(4, note="ü" * 1000)
    claim = store.rows().claim(
        "a", limit=10, limit_bytes=4500, now=now_ms(), lease=60_000, forgotten_before=0
    )
    assert [row.id for row in claim.rows] == ids[:2]
    claim = store.rows().claim("b", limit=10, limit_bytes=1, now=now_ms(), lease=60_000, forgotten_before=0)
    assert [row.id for row in claim.rows] == ids[2:3]


# What the platform refuses


def test_a_refused_row_is_set_aside_and_keeps_no_other_back(store: Store, client: Client) -> None:
    good = store.fill(3)
    [bad] = store.fill(1, status=7)
    [broken, list_of] = store.fill(2)
    store.run(f"UPDATE avra_outbox SET data = 'no json' WHERE id = '{broken}'")
    store.run(f"UPDATE avra_outbox SET data = '[1]' WHERE id = '{list_of}'")
    good += store.fill(3)

    assert store.relay(client).run_once() == 6

    assert accepted_keys() == good
    assert store.states() == dict.fromkeys((bad, broken, list_of), "rejected")
    reasons = {row_id: reason for row_id, _, _, reason in store.rows().set_aside()}
    assert "data.status" in reasons[bad]
    assert "JSON" in reasons[broken]
    assert "JSON" in reasons[list_of]


def test_what_was_set_aside_is_retried_or_discarded(store: Store, client: Client) -> None:
    first, second = store.fill(2, status=7)
    relay = store.relay(client)
    relay.run_once()
    store.run('UPDATE avra_outbox SET data = \'{"batch_id": "b1", "status": "failed"}\'')
    assert store.rows().retry([first]) == 1
    assert store.rows().discard(["no-such-row"]) == 0
    relay.run_once()
    assert (accepted_keys(), store.states()) == ([first], {second: "rejected"})
    assert store.rows().discard() == 1
    assert store.states() == {}


@pytest.mark.parametrize("token", ["tok_unknown", None], ids=["unauthorized", "forbidden"])
def test_a_token_that_may_not_send_sets_nothing_aside(
    store: Store, platform_url: str, workspace: Workspace, token: str | None
) -> None:
    token = token or api_tokens.create(
        services().write, workspace.id, "reader", scopes={TokenScope.EVENTS_READ}, actor=TESTER
    )
    ids = store.fill(2)
    with Client(platform_url, token) as client, pytest.raises(HandOverFailed):
        store.relay(client).run_once()
    assert store.states() == dict.fromkeys(ids, "pending")
    assert store.run("SELECT handed_over_at, due_at FROM avra_outbox") == [(None, 0)] * 2


# A platform that is away


def test_while_the_platform_is_away_rows_wait_and_go_when_it_is_back(
    store: Store, workspace: Workspace
) -> None:
    ids, port = store.fill(30), free_port()
    with Client(f"http://127.0.0.1:{port}", workspace.token, deadline_seconds=1) as client:
        relay = store.relay(client, **QUICK)
        with running(relay):
            wait_for(lambda: relay.state.totals.failures >= 3)
            assert "Unavailable" in relay.state.last_failure or "HandOverFailed" in relay.state.last_failure
            assert store.run("SELECT DISTINCT handed_over_at FROM avra_outbox") == [(None,)]
            assert store.rows().backlog()[0] == 30
            with served(workspace.app, port=port):
                wait_for(lambda: store.states() == {})
                assert relay.state.last_failure == ""
    assert sorted(accepted_keys()) == ids


def test_what_is_written_while_a_relay_runs_goes_soon(store: Store, client: Client) -> None:
    with running(store.relay(client, **QUICK)):
        for _ in range(3):
            store.fill(2)
            wait_for(lambda: store.states() == {})
    assert len(accepted_keys()) == 6


def test_a_database_that_comes_later_is_waited_for(tmp_path: Any, client: Client) -> None:
    store = Store(f"sqlite:///{tmp_path / 'later.db'}")
    with running(store.relay(client, **QUICK)) as relay:
        wait_for(lambda: relay.state.totals.failures >= 2)
        assert not (tmp_path / "later.db").exists()
        (tmp_path / "later.db").touch()
        for statement in outbox_schema.ddl("sqlite"):
            store.run(statement)
        [row_id] = store.fill(1)
        wait_for(lambda: store.states() == {})
    assert accepted_keys() == [row_id]


@pytest.mark.parametrize("empty_store", ["postgresql"], indirect=True)
def test_a_database_that_does_not_answer_is_given_up_and_connected_to_anew(
    store: Store, client: Client
) -> None:
    store.fill(2)
    with closing(store.connect()) as holder, closing(holder.cursor()) as cursor:
        cursor.execute("LOCK TABLE avra_outbox")
        with running(store.relay(client, **QUICK, database_seconds=0.3)) as relay:
            wait_for(lambda: relay.state.totals.failures >= 2)
            holder.rollback()
            wait_for(lambda: store.states() == {})
    assert len(accepted_keys()) == 2


# A relay that dies


def claim_and_send(store: Store, client: Client, *, lease: int) -> None:
    """Do what a relay does that is killed once the platform has accepted, before it records that."""
    claim = store.rows().claim(
        "dead", limit=100, limit_bytes=10**6, now=now_ms(), lease=lease, forgotten_before=0
    )
    assert all(each.sent for each in client.send_many(events(claim.rows)[0]))


def test_what_a_dead_relay_had_sent_is_known_under_its_key(store: Store, client: Client) -> None:
    ids = store.fill(5)
    claim_and_send(store, client, lease=60_000)
    relay = store.relay(client, **QUICK)
    assert relay.run_once() == 0, "its claim stands until its lease ends"
    store.run("UPDATE avra_outbox SET due_at = 1")
    assert relay.run_once() == 5
    assert relay.state.totals.repeated == 5
    assert (accepted_keys(), store.states()) == (ids, {})


@pytest.mark.parametrize(("hours", "kept", "goes"), [(22, 24, True), (24, 24, False), (600, 720, True)])
def test_a_row_whose_key_the_platform_may_have_forgotten_is_set_aside(
    store: Store, client: Client, hours: int, kept: int, goes: bool
) -> None:
    """A relay died between the platform's 202 and its own record, and the next one comes days later."""
    old, fresh = store.fill(2)
    handed_over_at = now_ms() - hours * HOUR_MS
    store.run(f"UPDATE avra_outbox SET handed_over_at = {handed_over_at}, due_at = 1 WHERE id = '{old}'")
    relay = store.relay(client, keys_kept_hours=kept)
    relay.run_once()
    if goes:
        assert (accepted_keys(), store.states()) == ([old, fresh], {})
        return
    assert (accepted_keys(), store.states()) == ([fresh], {old: "unknown"})
    assert relay.state.totals.unknown == 1
    [(_, state, _, reason)] = store.rows().set_aside()
    assert (state, "cannot be told" in reason) == ("unknown", True)
    assert store.rows().retry([old]) == 1
    relay.run_once()
    assert accepted_keys() == [fresh, old]


def test_a_row_that_never_left_may_wait_for_days(store: Store, client: Client) -> None:
    [row_id] = store.fill(1)
    store.run(f"UPDATE avra_outbox SET created_at = {now_ms() - 900 * HOUR_MS}")
    store.relay(client).run_once()
    assert accepted_keys() == [row_id]


def test_an_uncertain_hand_over_is_remembered_through_certain_failures(store: Store, client: Client) -> None:
    [row_id] = store.fill(1)
    rows = store.rows()
    first = rows.claim("a", limit=9, limit_bytes=10**6, now=1000, lease=10, forgotten_before=0)
    rows.record(first, Outcomes({}, {}, uncertain=first.rows), now=1001, keeps_sent=False)
    second = rows.claim("b", limit=9, limit_bytes=10**6, now=2000, lease=10, forgotten_before=0)
    rows.record(second, Outcomes({}, {}, released=second.rows), now=2001, keeps_sent=False)
    assert store.run("SELECT id, handed_over_at, due_at FROM avra_outbox") == [(row_id, 1000, 0)]


def test_a_relay_that_slept_through_its_lease_touches_nothing_of_the_next(store: Store) -> None:
    one, two, three, four = store.fill(4)
    rows = store.rows()
    sleeper = rows.claim("a", limit=9, limit_bytes=10**6, now=1000, lease=10, forgotten_before=0)
    rows.claim("b", limit=9, limit_bytes=10**6, now=2000, lease=10_000, forgotten_before=0)
    by_id = {row.id: row for row in sleeper.rows}
    failing = {four: Failing("500", 1, 9)}
    late = Outcomes({one: "evt_1"}, {two: "refused"}, released=[by_id[three]], failing=failing)
    rows.record(sleeper, late, now=2001, keeps_sent=False)
    assert store.states() == dict.fromkeys((two, three, four), "pending")
    assert store.run("SELECT DISTINCT claimed_by, due_at FROM avra_outbox") == [("b", 12_000)]


def test_several_relays_share_the_rows(store: Store, client: Client) -> None:
    ids = store.fill(400)
    relays = [store.relay(client, batch=20, poll_seconds=0.02) for _ in range(4)]
    stop = threading.Event()
    threads = [threading.Thread(target=relay.run, args=(stop,)) for relay in relays]
    for thread in threads:
        thread.start()
    wait_for(lambda: store.states() == {}, 60)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert sorted(accepted_keys()) == ids
    assert sum(relay.state.totals.sent for relay in relays) == 400
    assert sum(relay.state.totals.repeated for relay in relays) == 0


# Rows that are kept


def test_sent_rows_may_be_kept_with_their_events_and_sent_again(store: Store, client: Client) -> None:
    ids = store.fill(3)
    relay = store.relay(client, keep_sent_hours=1)
    began = now_ms()
    relay.run_once()
    kept = dict(store.run("SELECT id, event_id FROM avra_outbox WHERE state = 'sent'"))
    db.session.rollback()
    assert kept == {row.idempotency_key: row.id for row in db.session.query(Event)}
    assert store.rows().resend(since=began) == 3
    relay.run_once()
    assert (accepted_keys(), relay.state.totals.repeated) == (ids, 3)
    assert store.rows().expire_sent(before=began) == 0
    assert store.rows().expire_sent(before=now_ms() + 1) == 3
    assert store.states() == {}


def test_they_are_deleted_in_pieces_that_read_little_of_what_stays(store: Store, client: Client) -> None:
    late, *ids = store.fill(6)
    store.relay(client, keep_sent_hours=1).run_once()
    hours_ago = f"{now_ms()} - {HOUR_MS} * "
    store.run(f"UPDATE avra_outbox SET created_at = {hours_ago} 3, settled_at = {hours_ago} 2")
    store.run(f"UPDATE avra_outbox SET settled_at = {now_ms()} WHERE id = '{late}'")
    [kept] = store.fill(1)
    store.run(f"UPDATE avra_outbox SET state = 'sent', settled_at = {now_ms()} WHERE id = '{kept}'")
    before = now_ms() - HOUR_MS
    assert store.rows().expire_sent(before=before, most=2) == 2
    assert set(store.states()) == {late, *ids[2:], kept}
    assert store.rows().expire_sent(before=before) == 3
    assert set(store.states()) == {late, kept}


def test_they_go_when_their_time_is_over(store: Store, client: Client) -> None:
    store.fill(1)
    store.relay(client, keep_sent_hours=1).run_once()
    store.run(f"UPDATE avra_outbox SET settled_at = {now_ms() - 2 * HOUR_MS}")
    store.relay(client, keep_sent_hours=1).run_once()
    assert store.states() == {}


@pytest.mark.parametrize(
    "limits", [{"batch": 0}, {"lease_seconds": 30, "send_seconds": 20}, {"keys_kept_hours": 1}]
)
def test_limits_that_could_double_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        RelayLimits(**limits)
