"""What follows for rows from what the platform said of them, without one."""

import pytest

from avra_client.claimed_rows import Failing, OutboxRow
from avra_client.client import Rejected, Result, SendError, Sent, Unavailable
from avra_client.relay_outcomes import events, fail, may_be_of_a_row, outcomes
from avra_client.relay_state import RelayLimits, RelayState, Totals
from tests.avra_client.test_relay import HOUR_MS

NOW = 10**12


def test_each_row_is_in_one_of_the_lists() -> None:
    names = ("taken", "refused", "unread", "turned away", "unanswered")
    taken, refused, unread, turned_away, unanswered = rows = [
        OutboxRow(name, "t", "{}", True) for name in names
    ]
    fault = Rejected(422, "invalid", "is wrong", "data.a")
    results = [
        Result(taken.id, sent=Sent("evt_1", 2)),
        Result(refused.id, error=fault),
        Result(turned_away.id, error=Unavailable("later", status=429, may_be_accepted=False)),
        Result(unanswered.id, error=Unavailable("no answer")),
    ]
    found = outcomes(rows, results, {unread.id: "no JSON"})
    assert found.accepted == {taken.id: "evt_1"}
    assert found.rejected == {refused.id: str(fault), unread.id: "no JSON"}
    assert (found.released, found.uncertain, found.failing) == ([turned_away], [unanswered], {})
    state = RelayState()
    for _ in range(2):
        state.note_outcomes(found, results, 0.1)
    assert state.totals == Totals(sent=2, rejected=4, not_taken=4)


def test_rows_of_which_nobody_knows_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    state = RelayState()
    state.note_unknown(0)
    assert caplog.messages == []
    state.note_unknown(2)
    assert caplog.messages == ["2 rows were set aside as unknown: see `avra-relay set-aside`"]
    assert state.totals.unknown == 2


@pytest.mark.parametrize(
    "data", ["no JSON", "[1]", '{"a": "\ud800"}'], ids=["no JSON", "no object", "no text"]
)
def test_what_is_no_event_keeps_none_of_the_others_back(data: str) -> None:
    rows = [OutboxRow(name, "t", text, True) for name, text in (("1", "{}"), ("2", data), ("3", "{}"))]
    found, rejected = events(rows)
    assert [each.idempotency_key for each in found] == ["1", "3"]
    assert list(rejected) == ["2"]
    assert rejected["2"].startswith("data is not the JSON of an object: ")


@pytest.mark.parametrize(
    ("error", "may"),
    [
        (None, False),
        (ValueError("of ours"), False),
        (Rejected(422, "invalid", "is wrong", None), False),
        (SendError("broken"), True),
        (Unavailable("no answer"), True),
        *((Unavailable("no", status=status), True) for status in (500, 502, 504)),
        *((Unavailable("no", status=status), False) for status in (408, 425, 429, 503)),
    ],
)
def test_an_answer_that_says_later_comes_of_no_row(error: Exception | None, may: bool) -> None:
    assert may_be_of_a_row(error) is may


@pytest.mark.parametrize(
    ("failed_for_ms", "accepted_after_ms", "goes_on"),
    [(6 * HOUR_MS, 1, False), (6 * HOUR_MS - 1, 1, True), (6 * HOUR_MS, 0, True), (9 * HOUR_MS, -1, True)],
)
def test_a_row_is_given_up_after_its_hours_if_another_was_accepted_since(
    failed_for_ms: int, accepted_after_ms: int, goes_on: bool
) -> None:
    since = NOW - failed_for_ms
    row = OutboxRow("1", "t", "{}", True, since)
    found = fail(row, "500", NOW, RelayLimits(), others_accepted_at=since + accepted_after_ms)
    if goes_on:
        assert found == Failing("500", since, NOW + HOUR_MS)
    else:
        assert (found.since, found.due_at, found.reason[-5:]) == (since, None, ". 500")


@pytest.mark.parametrize(("batch", "is_taken"), [(0, False), (1, True), (10_000, True), (10_001, False)])
def test_a_batch_is_one_row_to_ten_thousand(batch: int, is_taken: bool) -> None:
    if is_taken:
        assert RelayLimits(batch=batch).batch == batch
    else:
        with pytest.raises(ValueError, match="batch"):
            RelayLimits(batch=batch)


def test_a_batch_may_take_half_of_a_lease() -> None:
    assert RelayLimits(lease_seconds=30, send_seconds=15).send_seconds == 15
