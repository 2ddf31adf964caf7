"""What a worker remembers of due endpoints between two looks at the database."""

from datetime import UTC, datetime, timedelta

from webhooks_app.worker.claims import Claim, DueEndpoint
from webhooks_app.worker.due_endpoints import DueEndpoints

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)


def lane(name: str, *, due_at: datetime = NOW, free_at: datetime | None = None) -> DueEndpoint:
    return DueEndpoint(name, due_at, free_at, 10 if free_at else None)


def claims(**counts: int) -> list[Claim]:
    return [Claim(f"dlv_{n}", name, "evt", 1, 0, 0) for name, count in counts.items() for n in range(count)]


def test_only_what_is_due_may_be_claimed() -> None:
    lanes = DueEndpoints()
    lanes.saw([lane("a"), lane("b", due_at=LATER)], is_end=True, now=NOW)

    assert list(lanes.due(NOW)) == ["a"]


def test_who_gave_less_than_was_asked_for_has_no_more() -> None:
    lanes = DueEndpoints()
    lanes.saw([lane("a"), lane("b"), lane("c")], is_end=True, now=NOW)

    lanes.claimed({"a": 4, "b": 4}, claims(a=4, b=3))

    assert list(lanes.due(NOW)) == ["a", "c"]
    lanes.claimed({"a": 4, "c": 1}, [])
    assert not lanes


def test_a_look_replaces_what_was_known_of_its_stretch_only() -> None:
    lanes = DueEndpoints()
    lanes.saw([lane("a"), lane("b")], is_end=False, now=NOW)
    assert (lanes.cursor, lanes.has_more) == ("b", True)
    lanes.saw([lane("c"), lane("d")], is_end=True, now=NOW)
    assert (lanes.cursor, lanes.has_more) == ("", False)
    assert list(lanes.due(NOW)) == ["a", "b", "c", "d"]

    lanes.saw([lane("b")], is_end=False, now=NOW)  # a has nothing any more
    assert list(lanes.due(NOW)) == ["c", "d", "b"]
    lanes.saw([], is_end=True, now=NOW)  # nor has anything behind b
    assert list(lanes.due(NOW)) == ["b"]


def test_a_limited_endpoint_is_claimed_of_once_its_turn_has_come() -> None:
    lanes = DueEndpoints()
    lanes.saw([lane("a", free_at=LATER), lane("b", free_at=NOW)], is_end=True, now=NOW)
    assert list(lanes.due(NOW)) == ["b"]

    lanes.claimed({"b": 1}, claims(b=1))
    lanes.wait({"b": LATER + timedelta(seconds=1), "unknown": LATER})

    assert list(lanes.due(NOW)) == []
    assert lanes  # a run does not end before they had their turns
    assert list(lanes.due(LATER)) == ["a"]
    assert list(lanes.due(LATER + timedelta(seconds=1))) == ["a", "b"]


def test_a_look_also_renews_who_waits() -> None:
    lanes = DueEndpoints()
    lanes.saw([lane("a", free_at=LATER)], is_end=True, now=NOW)
    lanes.saw([], is_end=True, now=NOW)

    assert not lanes
