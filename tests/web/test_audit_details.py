"""Nobody has to read microseconds or 86400."""

from datetime import UTC, datetime

import pytest

from webhooks_app.web.audit_details import Detail, in_words


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("overlap_seconds", 86_400, Detail("overlap", "1 day")),
        ("overlap_seconds", 9000, Detail("overlap", "2 hours 30 minutes")),
        ("overlap_seconds", 0, Detail("overlap", "0 seconds")),
        ("timeout_ms", 5000, Detail("timeout", "5 seconds")),
        ("timeout_ms", 1500, Detail("timeout", "1.5 seconds")),
        ("send_held", True, Detail("send held", "yes")),
        ("event_types", ["a", "b"], Detail("event types", "a, b")),
        ("event_types", [], Detail("event types", "none")),
        ("filter", {"status": "failed", "range": None}, Detail("filter", "status failed, range none")),
        ("held", 3, Detail("held", "3")),
        ("name", "2026-13-45T99:99", Detail("name", "2026-13-45T99:99")),
    ],
)
def test_a_detail_reads_as_a_person_would_say_it(name: str, value: object, expected: Detail) -> None:
    assert in_words({name: value}) == [expected]


@pytest.mark.parametrize(
    "value",
    ["2026-11-26T03:43:50.123456+00:00", "2026-11-26T03:43:50.123456Z", 1_795_664_630_123_456],
)
def test_a_moment_is_told_whatever_it_was_stored_as(value: object) -> None:
    [detail] = in_words({"failing_since": value})
    assert (detail.label, detail.text) == ("failing since", "")
    assert detail.moment == datetime(2026, 11, 26, 3, 43, 50, 123456, tzinfo=UTC)
