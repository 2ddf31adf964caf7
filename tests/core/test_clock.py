"""How a moment is spelled for machines and for people."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from webhooks_app.core import clock


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678_999, UTC), "2026-01-02T03:04:05.678Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T23:00:00.000Z"),
    ],
)
def test_a_moment_is_in_utc_with_milliseconds_and_a_z(moment: datetime, text: str) -> None:
    assert clock.format_rfc3339(moment) == text


def test_people_read_a_moment_in_utc_to_the_minute_or_to_the_second() -> None:
    moment = datetime(2026, 1, 2, 1, 4, 5, 678_999, timezone(timedelta(hours=2)))
    assert clock.format_utc(moment) == "2026-01-01 23:04 UTC"
    assert clock.format_utc(moment, with_seconds=True) == "2026-01-01 23:04:05 UTC"
