"""Which export makes room for another."""

import pytest

from webhooks_app.deliveries.log.export_slots import ExportSlot, ExportSlots, SlotLimits

LIMITS = SlotLimits(patience_seconds=30.0, characters_per_second=1000, longest_seconds=600.0)


def waiting_slot(*, taken: int, seconds: float) -> tuple[ExportSlot, float]:
    """A slot whose reader has taken so much and is waited for since so long, and the moment."""
    slot = ExportSlot()
    slot._taken = taken
    slot._waits_since = 1000.0
    return slot, 1000.0 + seconds


@pytest.mark.parametrize(
    ("taken", "seconds", "makes_room"),
    [
        (0, 29, False),  # it may only just have begun
        (0, 31, True),
        (31_500, 31, False),
        (100_000, 120, True),  # steady, and too slow
        (10_000_000, 599, False),
        (10_000_000, 600, True),
    ],
)
def test_a_reader_keeps_its_slot_while_it_is_fast_or_new(
    taken: int, seconds: float, makes_room: bool
) -> None:
    slot, now = waiting_slot(taken=taken, seconds=seconds)
    assert slot.makes_room(LIMITS, now) is makes_room


def test_waits_add_up_and_reading_from_the_database_does_not_count() -> None:
    slot = ExportSlot()
    for part in ("abc", "de"):
        for _ in slot.hand_out(part):
            pass
    assert slot.waited_seconds(now=1e12) < 10


def test_a_slot_that_was_lost_is_not_given_back_twice() -> None:
    slots = ExportSlots(1, SlotLimits(patience_seconds=0.0, longest_seconds=0.0))
    first = slots.take()
    assert first is not None
    for _ in first.hand_out("a"):
        second = slots.take()
    assert second is not None
    assert (first.is_lost, second.is_lost) == (True, False)
    slots.give_back(first)
    assert ExportSlots(0).take() is None
    slots.give_back(second)
    assert slots.take() is not None
