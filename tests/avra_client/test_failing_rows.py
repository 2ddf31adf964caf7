"""A row that the platform never takes, though it takes others: it keeps none back, and is seen."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest

from avra_client import relay_command
from avra_client.claimed_rows import OutboxRow
from avra_client.client import Client, Unavailable
from avra_client.failing_turns import FailingTurns
from avra_client.relay import HandOverFailed
from avra_client.relay_outcomes import fail, is_suspected
from avra_client.relay_state import RelayLimits
from tests.avra_client import relay_process
from tests.avra_client.conftest import Store, accepted_keys
from tests.avra_client.test_relay import HOUR_MS, QUICK, now_ms, running
from tests.conftest import Workspace
from tests.server.running_server import serving
from tests.waiting import wait_for

POISON = "a body that breaks the platform"
# A busy machine may need longer for an answer than a relay gives a row that fails.
REFUSED = "500|took too long"


@dataclass
class Breaking:
    """The platform with a bug: it answers 500 to whatever holds the poison; `seen` has the events of each.

    Without `answers` it hangs on them. Mended, it still takes `slow_seconds` for each.
    """

    app: Any
    is_mended: bool = False
    slow_seconds: float = 0.0
    seen: list[int] = field(default_factory=list)
    # What came, in this order: whether it held the poison.
    order: list[bool] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ["REQUEST_METHOD"] == "POST":
            self.order.append(POISON.encode() in body)
        if POISON.encode() in body and not self.is_mended:
            self.seen.append(body.count(b'"type"'))
            self.answers.wait(60)
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return [b""]
        if POISON.encode() in body:
            time.sleep(self.slow_seconds)
        environ["wsgi.input"] = BytesIO(body)
        answer: Iterable[bytes] = self.app(environ, start_response)
        return answer


@pytest.fixture
def broken(workspace: Workspace) -> Breaking:
    breaking = Breaking(workspace.app)
    breaking.answers.set()
    return breaking


@pytest.fixture
def broken_url(broken: Breaking) -> Iterator[str]:
    with serving(broken) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def broken_client(broken_url: str, workspace: Workspace) -> Iterator[Client]:
    # By which it is asked whether the platform answers at all, which a busy machine's may do late.
    with Client(broken_url, workspace.token, timeout=(30, 30), deadline_seconds=30) as client:
        yield client


def test_others_go_on_while_one_row_fails(store: Store, broken: Breaking, broken_client: Client) -> None:
    before = store.fill(3)
    [bad] = store.fill(1, note=POISON)
    behind = store.fill(30)
    with running(store.relay(broken_client, **QUICK, failing_pause_seconds=0.1)) as relay:
        wait_for(lambda: store.states() == {bad: "pending"})
        wait_for(lambda: relay.state.totals.postponed >= 3)
        wait_for(lambda: relay.state.last_failure == "")
        late = store.fill(2)
        wait_for(lambda: store.states() == {bad: "pending"})
    assert sorted(accepted_keys()) == [*before, *behind, *late]
    assert broken.seen[-1] == 1, "it is sent alone"
    [(row_id, state, _, reason)] = store.rows().failing()
    assert (row_id, state) == (bad, "failing") and re.search(REFUSED, reason)
    assert store.rows().backlog()[::2] == (1, 1)


def test_it_is_sent_once_the_platform_takes_it(store: Store, broken: Breaking, broken_client: Client) -> None:
    [bad] = store.fill(1, note=POISON)
    with running(store.relay(broken_client, **QUICK, failing_pause_seconds=0.05, keep_sent_hours=1)) as relay:
        wait_for(lambda: relay.state.totals.postponed >= 2)
        broken.is_mended = True
        store.run("UPDATE avra_outbox SET due_at = 0")
        wait_for(lambda: store.states() == {bad: "sent"})
    assert store.run("SELECT error FROM avra_outbox") == [(None,)]


def test_it_is_set_aside_once_it_failed_for_long_while_others_were_accepted(
    store: Store, broken_client: Client
) -> None:
    [bad] = store.fill(1, note=POISON)
    pauses = {"failing_pause_seconds": 0.05, "longest_failing_pause_seconds": 0.1}
    with running(store.relay(broken_client, **QUICK, **pauses)) as relay:
        wait_for(lambda: relay.state.totals.postponed >= 1)
        since = now_ms() - 7 * HOUR_MS
        store.run(f"UPDATE avra_outbox SET settled_at = {since}, due_at = 0 WHERE error IS NOT NULL")
        wait_for(lambda: relay.state.totals.postponed >= 3)
        assert store.states() == {bad: "pending"}, "nothing says that it is not the platform"
        store.fill(1)
        wait_for(lambda: len(store.states()) == 1)
        store.run("UPDATE avra_outbox SET due_at = 0")
        wait_for(lambda: store.states() == {bad: "unknown"})
    [(_, _, _, reason)] = store.rows().set_aside()
    assert "6 hours" in reason and re.search(REFUSED, reason)
    assert store.rows().retry([bad]) == 1
    assert store.run("SELECT settled_at, error FROM avra_outbox") == [(None, None)]


def test_many_that_hang_hold_no_fresh_ones_back_and_are_set_aside(
    store: Store, broken: Breaking, broken_url: str, workspace: Workspace
) -> None:
    bad = store.fill(20, note=POISON)
    since = now_ms() - 7 * HOUR_MS
    store.run(f"UPDATE avra_outbox SET error = '500', handed_over_at = {now_ms()}, settled_at = {since}")
    good = store.fill(30)
    broken.answers.clear()
    limits = {"batch": 10, "poll_seconds": 0.02, "failing_send_seconds": 1.0}
    try:
        with (
            Client(broken_url, workspace.token, deadline_seconds=5) as client,
            running(store.relay(client, **limits)),
        ):
            wait_for(lambda: not store.states().keys() & set(good))
            wait_for(lambda: "unknown" in store.states().values())
    finally:
        broken.answers.set()
    assert accepted_keys() == good
    # A busy machine may let one arrive behind the next batch.
    before_last = broken.order[: len(broken.order) - broken.order[::-1].index(False)]
    assert any(before_last)
    assert not any(map(all, pairwise(before_last))), "one at most between two batches"
    assert set(broken.seen) == {1}
    assert store.states().keys() == set(bad)


def test_one_that_has_failed_and_only_takes_long_by_now_is_sent(
    store: Store, broken: Breaking, broken_url: str, workspace: Workspace
) -> None:
    [slow] = store.fill(1, note=POISON)
    store.run(f"UPDATE avra_outbox SET error = '500', handed_over_at = {now_ms()}, settled_at = {now_ms()}")
    broken.is_mended, broken.slow_seconds = True, 2.0
    with (
        Client(broken_url, workspace.token) as client,
        running(store.relay(client, poll_seconds=0.02, failing_send_seconds=0.1)),
    ):
        wait_for(lambda: not store.states())
    assert accepted_keys() == [slow]


def test_a_row_has_a_long_turn_each_hour_and_all_of_them_a_fifth_of_the_time() -> None:
    turns = FailingTurns(RelayLimits())
    assert turns.begin("a", 1000.0) == 30
    turns.end(1030.0, seconds=30)
    assert [turns.begin("b", 1149.0), turns.begin("b", 1150.0)] == [5, 30]
    turns.end(1152.0, seconds=2)
    assert turns.begin("c", 1159.0) == 5
    turns.end(1164.0, seconds=5)  # a short one costs the long ones nothing
    assert [turns.begin("a", 4599.0), turns.begin("a", 4600.0)] == [5, 30]


def test_runs_that_remember_no_other_give_a_long_turn_to_what_failed_for_an_hour() -> None:
    def first_turn(failing_seconds: float) -> float:
        turns = FailingTurns(RelayLimits())
        turns.is_one_of_many = True
        return turns.begin("a", 1000.0, failing_seconds=failing_seconds)

    assert [first_turn(each) for each in (0, 3599, 3600)] == [5, 5, 30]


@pytest.mark.parametrize(("hours", "is_sent"), [(0, False), (2, True)])
def test_what_takes_long_is_sent_by_a_run_once_it_has_failed_for_an_hour(
    store: Store, broken: Breaking, broken_url: str, workspace: Workspace, hours: int, is_sent: bool
) -> None:
    [slow] = store.fill(1, note=POISON)
    since = now_ms() - hours * HOUR_MS
    store.run(f"UPDATE avra_outbox SET error = '500', handed_over_at = {now_ms()}, settled_at = {since}")
    broken.is_mended, broken.slow_seconds = True, 2.0
    with Client(broken_url, workspace.token) as client:
        relay = store.relay(client, failing_send_seconds=0.1)
        if is_sent:
            assert relay.run_once() == 1
        else:
            with pytest.raises(HandOverFailed):
                relay.run_once()
    assert (slow not in store.states()) is is_sent


def test_of_rows_that_fail_one_is_claimed_at_a_time_and_where_nothing_else_is_due_first(store: Store) -> None:
    bad = store.fill(3, note=POISON)
    store.run("UPDATE avra_outbox SET error = '500', handed_over_at = 1, settled_at = 1")
    good = store.fill(3)
    rows = store.rows()

    def claimed(limit: int, **options: bool) -> list[str]:
        claim = rows.claim(
            "a", limit=limit, limit_bytes=10**6, now=1000, lease=10**6, forgotten_before=0, **options
        )
        assert claim.is_of_failing == any(row.id in bad for row in claim.rows)
        return [row.id for row in claim.rows]

    assert claimed(2) == good[:2]
    assert claimed(2, failing_first=True) == bad[:1]
    assert claimed(2) == good[2:]
    assert [claimed(2), claimed(2, failing_first=True), claimed(2)] == [bad[1:2], bad[2:], []]


def test_once_hands_over_what_it_can_and_says_that_something_is_left(
    store: Store, broken_url: str, broken_client: Client, workspace: Workspace, capsys: Any, monkeypatch: Any
) -> None:
    [bad] = store.fill(1, note=POISON)
    good = store.fill(5)
    with pytest.raises(HandOverFailed, match=r"^1 row is not taken"):
        store.relay(broken_client).run_once()
    assert (accepted_keys(), store.states()) == (good, {bad: "pending"})
    for name, value in relay_process.environment(store, broken_url, workspace.token).items():
        monkeypatch.setenv(name, value)
    assert relay_command.main(["failing"]) == 0
    assert capsys.readouterr().out.startswith(f"{bad}\tfailing\tbatch-lifecycle\t")


def test_where_nothing_is_taken_the_platform_is_at_fault(store: Store, broken_client: Client) -> None:
    ids = store.fill(40, note=POISON)
    with pytest.raises(HandOverFailed, match=REFUSED):
        store.relay(broken_client).run_once()
    assert store.states() == dict.fromkeys(ids, "pending")
    assert len(store.rows().failing()) <= 3


def test_a_row_that_is_taken_lets_as_many_fail_again(store: Store, broken_client: Client) -> None:
    """Two may fail one after the other; the third in a row would say that the platform is at fault."""
    bad = store.fill(2, note=POISON)
    good = store.fill(1)
    bad += store.fill(1, note=POISON)
    good += store.fill(1)
    with pytest.raises(HandOverFailed, match="3 rows are not taken"):
        store.relay(broken_client).run_once()
    assert (accepted_keys(), store.states()) == (good, dict.fromkeys(bad, "pending"))


def test_rows_that_are_set_aside_do_not_clear_the_platform(store: Store, broken_client: Client) -> None:
    bad, refused = list[str](), list[str]()
    for _ in range(5):
        bad += store.fill(1, note=POISON)
        refused += store.fill(1, status=7)
    with pytest.raises(HandOverFailed, match=REFUSED):
        store.relay(broken_client).run_once()
    assert store.states().keys() >= set(bad)
    assert len(store.rows().failing()) <= 3


def test_once_is_silent_about_a_row_that_it_sets_aside(store: Store, broken_client: Client) -> None:
    [bad], [good] = store.fill(1, note=POISON), store.fill(1)
    since = now_ms() - 7 * HOUR_MS
    failing = f"error = '500', handed_over_at = {now_ms()}, settled_at = {since}"
    store.run(f"UPDATE avra_outbox SET {failing} WHERE id = '{bad}'")
    assert store.relay(broken_client).run_once() == 1
    assert (accepted_keys(), store.states()) == ([good], {bad: "unknown"})


def test_once_says_nothing_of_rows_that_failed_the_time_before(
    store: Store, broken: Breaking, broken_client: Client
) -> None:
    store.fill(1, note=POISON)
    good = store.fill(1)
    relay = store.relay(broken_client)
    with pytest.raises(HandOverFailed, match=r"^1 row is not taken"):
        relay.run_once()
    store.run("DELETE FROM avra_outbox")
    good += store.fill(1)
    assert relay.run_once() == 1
    assert accepted_keys() == good


@pytest.mark.parametrize(
    ("status", "answers", "since", "suspected"),
    [
        (500, True, None, True),
        (0, True, None, True),
        (502, False, None, False),
        (502, False, 1, True),
        (503, True, 1, False),
        (429, True, 1, False),
    ],
)
def test_what_the_platform_says_of_itself_is_blamed_on_no_row(
    status: int, answers: bool, since: int | None, suspected: bool
) -> None:
    row, error = OutboxRow("1", "t", "{}", True, since), Unavailable("no", status=status)
    assert is_suspected(row, error, platform_answers=answers) is suspected


def test_pauses_double_up_to_an_hour() -> None:
    def pause_ms(failed_for_ms: int) -> int:
        row = OutboxRow("1", "t", "{}", True, 10**12 - failed_for_ms)
        due_at = fail(row, "500", 10**12, RelayLimits(), others_accepted_at=0).due_at
        assert due_at is not None
        return due_at - 10**12

    assert [pause_ms(each) for each in (1, 60_000, 9 * HOUR_MS)] == [5_000, 60_000, HOUR_MS]
