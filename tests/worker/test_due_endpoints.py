"""What a worker remembers of due endpoints between two scans of the database."""

from datetime import UTC, datetime, timedelta

from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.due_endpoints import DueEndpoints
from webhooks_app.worker.endpoint_rate_limits import LONGEST_WAIT
from webhooks_app.worker.endpoint_scan import DueEndpoint

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)


def due(name: str, *, due_at: datetime = NOW, free_at: datetime | None = None) -> DueEndpoint:
    return DueEndpoint(name, due_at, free_at, 10 if free_at else None)


def claims(**counts: int) -> list[ClaimedDelivery]:
    return [
        ClaimedDelivery(f"dlv_{number}", name, "evt", 1, 0, 0)
        for name, count in counts.items()
        for number in range(count)
    ]


def test_only_what_is_due_may_be_claimed() -> None:
    endpoints = DueEndpoints()
    endpoints.replace_scanned([due("a"), due("b", due_at=LATER)], is_end=True, now=NOW)

    assert list(endpoints.claimable(NOW)) == ["a"]


def test_an_endpoint_with_fewer_claims_than_its_quota_has_no_more_due() -> None:
    endpoints = DueEndpoints()
    endpoints.replace_scanned([due("a"), due("b"), due("c")], is_end=True, now=NOW)

    endpoints.note_claims({"a": 4, "b": 4}, claims(a=4, b=3))

    assert list(endpoints.claimable(NOW)) == ["a", "c"]
    endpoints.note_claims({"a": 4, "c": 1}, [])
    assert not endpoints


def test_a_scan_replaces_what_was_known_of_its_stretch_only() -> None:
    endpoints = DueEndpoints()
    endpoints.replace_scanned([due("a"), due("b")], is_end=False, now=NOW)
    assert (endpoints.cursor, endpoints.has_more) == ("b", True)
    endpoints.replace_scanned([due("c"), due("d")], is_end=True, now=NOW)
    assert (endpoints.cursor, endpoints.has_more) == ("", False)
    assert list(endpoints.claimable(NOW)) == ["a", "b", "c", "d"]

    endpoints.replace_scanned([due("b")], is_end=False, now=NOW)  # a has nothing any more
    assert list(endpoints.claimable(NOW)) == ["c", "d", "b"]
    endpoints.replace_scanned([], is_end=True, now=NOW)  # nor has anything behind b
    assert list(endpoints.claimable(NOW)) == ["b"]


def test_a_limited_endpoint_is_claimed_from_once_its_turn_has_come() -> None:
    endpoints = DueEndpoints()
    endpoints.replace_scanned([due("a", free_at=LATER), due("b", free_at=NOW)], is_end=True, now=NOW)
    assert list(endpoints.claimable(NOW)) == ["b"]

    endpoints.note_claims({"b": 1}, claims(b=1))
    endpoints.set_aside({"b": LATER + timedelta(seconds=1), "unknown": LATER})

    assert list(endpoints.claimable(NOW)) == []
    assert endpoints  # a run does not end before these were claimed from
    assert list(endpoints.claimable(LATER)) == ["a"]
    assert list(endpoints.claimable(LATER + timedelta(seconds=1))) == ["a", "b"]


def test_a_scan_also_replaces_endpoints_that_wait() -> None:
    endpoints = DueEndpoints()
    endpoints.replace_scanned([due("a", free_at=LATER)], is_end=True, now=NOW)
    endpoints.replace_scanned([], is_end=True, now=NOW)

    assert not endpoints


def test_of_what_was_forgotten_nothing_is_left() -> None:
    endpoints = DueEndpoints()
    assert (bool(endpoints), endpoints.cursor, endpoints.has_more) == (False, "", False)
    endpoints.replace_scanned([due("a"), due("b", free_at=LATER)], is_end=False, now=NOW)
    assert endpoints

    endpoints.clear()

    assert (bool(endpoints), endpoints.cursor, endpoints.has_more) == (False, "", False)
    assert endpoints.claimable(LATER) == {}


def test_a_turn_farther_off_than_any_limit_reaches_is_not_waited_for() -> None:
    endpoints = DueEndpoints()
    farthest = NOW + LONGEST_WAIT
    some = [due("a", free_at=farthest), due("b", free_at=farthest + timedelta(microseconds=1))]
    endpoints.replace_scanned(some, is_end=True, now=NOW)

    assert list(endpoints.claimable(NOW)) == ["b"]
