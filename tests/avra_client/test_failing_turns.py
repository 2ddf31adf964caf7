"""How long a row that fails is sent, by a clock that the test moves; more in `test_failing_rows.py`."""

from types import SimpleNamespace

import pytest

from avra_client import failing_turns
from avra_client.claimed_rows import Claim, OutboxRow
from avra_client.failing_turns import FailingTurns
from avra_client.relay_state import RelayLimits


def test_long_turns_rest_four_times_as_long_as_the_last_one_took(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    clock = SimpleNamespace(monotonic=lambda: now, time=lambda: 1e9)
    monkeypatch.setattr(failing_turns, "time", clock)
    turns = FailingTurns(RelayLimits())

    def seconds_for(name: str, took: float) -> float:
        nonlocal now
        with turns.seconds_to_send(Claim("a", [OutboxRow(name, "t", "{}", True, 1)], 0, 0)) as seconds:
            now += took
        return seconds

    assert seconds_for("a", 10) == 30
    now = 1049.0
    assert seconds_for("b", 0) == 5
    now = 1050.0
    assert seconds_for("b", 0) == 30


def test_of_more_rows_than_a_thousand_each_may_have_a_long_turn_again() -> None:
    """As nothing grows with what fails."""
    turns = FailingTurns(RelayLimits())
    assert {turns.begin(str(number), 1000.0) for number in range(1000)} == {30}
    assert turns.begin("0", 1000.0) == 5
    assert [turns.begin("1000", 1000.0), turns.begin("0", 1000.0)] == [30, 30]
