"""Which export makes room for another."""

import pytest

from webhooks_app.deliveries.log.export_places import ExportPlace, ExportPlaces, PlaceLimits

LIMITS = PlaceLimits(patience_seconds=30.0, characters_per_second=1000, longest_seconds=600.0)


def waiting_place(*, taken: int, seconds: float) -> tuple[ExportPlace, float]:
    """A place whose reader has taken so much and is waited for since so long, and the moment."""
    place = ExportPlace()
    place._taken = taken
    place._waits_since = 1000.0
    return place, 1000.0 + seconds


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
def test_a_reader_keeps_its_place_while_it_is_fast_or_new(
    taken: int, seconds: float, makes_room: bool
) -> None:
    place, now = waiting_place(taken=taken, seconds=seconds)
    assert place.makes_room(LIMITS, now) is makes_room


def test_waits_add_up_and_reading_from_the_database_does_not_count() -> None:
    place = ExportPlace()
    for part in ("abc", "de"):
        for _ in place.hand_out(part):
            pass
    assert place.waited_seconds(now=1e12) < 10


def test_a_place_that_was_lost_is_not_given_back_twice() -> None:
    places = ExportPlaces(1, PlaceLimits(patience_seconds=0.0, longest_seconds=0.0))
    first = places.take()
    assert first is not None
    for _ in first.hand_out("a"):
        second = places.take()
    assert second is not None
    assert (first.is_lost, second.is_lost) == (True, False)
    places.give_back(first)
    assert ExportPlaces(0).take() is None
    places.give_back(second)
    assert places.take() is not None
