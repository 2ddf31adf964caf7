"""A relay from one round to the next: its pauses, its figures, and what it does now and then only."""

import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from avra_client.client import Client
from avra_client.outbox_rows import EXPIRED_AT_ONCE
from avra_client.relay import HandOverFailed, Relay
from avra_client.relay_state import RelayLimits
from tests.avra_client.conftest import Store, accepted_keys
from tests.avra_client.test_relay import HOUR_MS, claim_and_send, now_ms
from tests.conftest import Workspace
from tests.free_ports import free_port
from tests.server.running_server import serving

StartResponse = Callable[..., Any]


class Pauses(threading.Event):
    """Ends a relay after so many pauses, none of which takes any time."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count, self.seconds = count, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        if len(self.seconds) == self._count:
            self.set()
        return self.is_set()


def test_a_pause_is_a_half_to_the_whole_of_the_longest(store: Store, workspace: Workspace) -> None:
    store.fill(1)
    with Client(f"http://127.0.0.1:{free_port()}", workspace.token, deadline_seconds=0.1) as client:
        pauses = Pauses(12)
        store.relay(client, first_pause_seconds=0.02, longest_pause_seconds=0.02).run(pauses)
    assert 0.01 <= min(pauses.seconds) <= max(pauses.seconds) <= 0.02


@pytest.fixture
def nobody() -> Iterator[Client]:
    """A client of a platform that is not there."""
    with Client(f"http://127.0.0.1:{free_port()}", "tok", deadline_seconds=0.1) as client:
        yield client


def test_a_database_that_is_away_is_asked_again_after_a_pause(nobody: Client) -> None:
    def connect() -> Any:
        raise OSError("away")

    pauses = Pauses(1)
    relay = Relay(connect, nobody, limits=RelayLimits(first_pause_seconds=0.02, longest_pause_seconds=0.02))
    relay.run(pauses)
    assert (len(pauses.seconds), relay.state.totals.failures) == (1, 1)
    assert relay.state.last_failure == "OSError: away"


@pytest.mark.parametrize("empty_store", ["sqlite"], indirect=True)
def test_behind_a_failure_batches_grow_and_follow_without_a_pause(
    store: Store, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    calls = iter([OSError("away")])

    def connect() -> Any:
        for error in calls:
            raise error
        return store.connect()

    store.fill(7)
    pauses, limits = Pauses(2), RelayLimits(first_pause_seconds=0.01, longest_pause_seconds=0.01, batch=500)
    with caplog.at_level(logging.INFO, "avra_client"):
        Relay(connect, client, limits=limits).run(pauses)
    assert re.findall(r"handed over: accepted=(\d+)", caplog.text) == ["1", "2", "4"]
    assert pauses.seconds == [pytest.approx(0.0075, abs=0.0025), limits.poll_seconds]


@pytest.mark.parametrize("empty_store", ["sqlite"], indirect=True)
def test_where_nothing_is_due_it_looks_again_after_its_pause(store: Store, nobody: Client) -> None:
    pauses = Pauses(2)
    store.relay(nobody, poll_seconds=0.25).run(pauses)
    assert pauses.seconds == [0.25, 0.25]


@pytest.mark.parametrize("empty_store", ["sqlite"], indirect=True)
def test_each_connection_is_closed_when_a_run_has_ended(store: Store, nobody: Client) -> None:
    opened = list[Any]()

    def connect() -> Any:
        opened.append(store.connect())
        return opened[-1]

    relay = Relay(connect, nobody)
    for _ in range(2):
        relay.run_once()
    relay.run(Pauses(1))
    assert len(opened) == 3
    for each in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            each.cursor()


@pytest.mark.parametrize(("asked_for", "waited"), [("70", 70.0), ("86400", 300.0)])
def test_it_waits_as_long_as_the_platform_asks_for_up_to_five_minutes(
    store: Store, asked_for: str, waited: float
) -> None:
    def busy(_: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("503 Service Unavailable", [("Retry-After", asked_for), ("Content-Length", "0")])
        return [b""]

    store.fill(1)
    pauses = Pauses(2)
    with (
        serving(busy) as server,
        Client(f"http://127.0.0.1:{server.port}", "tok", deadline_seconds=60) as client,
    ):
        store.relay(client, first_pause_seconds=0.01, longest_pause_seconds=0.01).run(pauses)
    assert pauses.seconds == [waited, waited]


def test_no_row_is_suspected_while_the_platform_answers_nothing(store: Store, workspace: Workspace) -> None:
    def broken(_: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("500 Internal Server Error", [("Content-Length", "0")])
        return [b""]

    store.fill(2)
    with serving(broken) as server:
        url = f"http://127.0.0.1:{server.port}"
        with Client(url, workspace.token, deadline_seconds=0.1) as client:
            with pytest.raises(HandOverFailed):
                store.relay(client, batch=1).run_once()
            store.relay(client, batch=1).run(Pauses(3))
    assert store.rows().failing() == []
    assert store.run("SELECT DISTINCT due_at FROM avra_outbox") == [(0,)]


def test_figures_add_up_over_batches(store: Store, client: Client) -> None:
    store.fill(4)
    claim_and_send(store, client, lease=0)
    forgotten = store.fill(3)
    store.run(
        f"UPDATE avra_outbox SET handed_over_at = {now_ms() - 30 * HOUR_MS} WHERE id IN {tuple(forgotten)}"
    )
    store.fill(3, status=7)
    relay = store.relay(client, batch=2)
    assert relay.run_once() == 4
    totals = relay.state.totals
    assert (totals.sent, totals.repeated, totals.unknown, totals.rejected) == (4, 4, 3, 3)
    assert (totals.not_taken, totals.postponed, totals.failures) == (0, 0, 0)


def test_what_is_not_taken_adds_up(store: Store, platform_url: str) -> None:
    store.fill(2)
    with Client(platform_url, "tok_unknown") as client:
        relay = store.relay(client)
        for _ in range(2):
            with pytest.raises(HandOverFailed):
                relay.run_once()
    assert relay.state.totals.not_taken == 4


def test_once_goes_on_behind_rows_that_it_sets_aside(store: Store, client: Client) -> None:
    old, fresh = store.fill(2)
    store.run(f"UPDATE avra_outbox SET handed_over_at = {now_ms() - 30 * HOUR_MS} WHERE id = '{old}'")
    assert store.relay(client, batch=1).run_once() == 1
    assert (accepted_keys(), store.states()) == ([fresh], {old: "unknown"})


@pytest.mark.parametrize("empty_store", ["sqlite"], indirect=True)
def test_what_was_claimed_too_long_ago_is_not_sent_but_claimed_again(store: Store, client: Client) -> None:
    ids = store.fill(3)

    def connect_slowly() -> Any:
        time.sleep(2.1)  # within the claim, whose time runs already
        return store.connect()

    relay = Relay(connect_slowly, client, limits=RelayLimits(lease_seconds=4, send_seconds=2))
    assert relay.run_once() == 3
    assert accepted_keys() == ids
    assert relay.state.totals.not_taken >= 3


# Rows that are kept


def test_a_relay_that_keeps_none_leaves_those_that_another_keeps(store: Store, client: Client) -> None:
    [kept] = store.fill(1)
    store.relay(client, keep_sent_hours=1).run_once()
    store.run("UPDATE avra_outbox SET settled_at = 1")
    store.fill(1)
    store.relay(client).run_once()
    assert store.states() == {kept: "sent"}


def test_it_looks_once_a_minute_for_those_whose_time_is_over(store: Store, client: Client) -> None:
    relay = store.relay(client, keep_sent_hours=1)
    for count in (0, 1):  # the first time it finds nothing, and does not look again so soon
        store.fill(1)
        assert relay.run_once() == 1
        assert len(store.states()) == count + 1
        store.run("UPDATE avra_outbox SET created_at = 1, settled_at = 1")
    store.relay(client, keep_sent_hours=1).run_once()
    assert store.states() == {}


@pytest.mark.parametrize("empty_store", ["sqlite"], indirect=True)
def test_they_are_kept_for_their_hours_however_many_go_at_once(store: Store, nobody: Client) -> None:
    first, kept = store.fill(2)
    settled = f"{now_ms()} - {HOUR_MS} * CASE WHEN id = '{kept}' THEN 2 ELSE 4 END"
    store.run(f"UPDATE avra_outbox SET state = 'sent', created_at = 1, settled_at = {settled}")
    columns, most = "type, data, created_at, state, due_at, settled_at", EXPIRED_AT_ONCE + 1000
    store.run(
        f"WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {most})"
        f" INSERT INTO avra_outbox (id, {columns}) SELECT 'old' || n, {columns} FROM avra_outbox, n"
        f" WHERE id = '{first}'"
    )
    relay = store.relay(nobody, keep_sent_hours=3)
    relay.run(Pauses(1))
    assert len(store.states()) > 1, "so many at once"
    relay.run(Pauses(1))
    assert store.states() == {kept: "sent"}
