"""What differs between two attempts."""

from webhooks_app.deliveries.log import attempt_diff
from webhooks_app.deliveries.log.attempt_diff import HeaderPair
from webhooks_app.deliveries.log.attempts import Phase


def test_headers_are_paired_by_name_in_any_case() -> None:
    left = [("Server", "a"), ("Vary", "x"), ("vary", "y"), ("Age", "1")]
    right = [("server", "b"), ("VARY", "x, y"), ("Via", "p")]
    assert attempt_diff.compare_headers(left, right) == [
        HeaderPair("server", "a", "b"),
        HeaderPair("vary", "x, y", "x, y"),
        HeaderPair("age", "1", None),
        HeaderPair("via", None, "p"),
    ]
    differing = [pair.name for pair in attempt_diff.compare_headers(left, right) if pair.differs]
    assert differing == ["server", "age", "via"]


def test_lines_say_which_text_has_them() -> None:
    found = attempt_diff.compare_texts("a\nb\nc", "a\nx\nc\nd")
    assert found is not None
    assert [(line.side, line.text) for line in found] == [
        ("both", "a"),
        ("left", "b"),
        ("right", "x"),
        ("both", "c"),
        ("right", "d"),
    ]


def test_what_would_take_long_to_compare_is_not() -> None:
    assert attempt_diff.compare_texts("a\n" * 300, "b\n" * 300) is None
    assert attempt_diff.compare_texts("a" * 3000, "b") is None
    assert attempt_diff.compare_texts("", "") == []


def test_phases_stand_in_their_order() -> None:
    pairs = attempt_diff.compare_phases([Phase("Wait", 5)], [Phase("DNS", 1), Phase("Wait", 7.5)])
    assert [(pair.name, pair.left_ms, pair.right_ms) for pair in pairs] == [
        ("DNS", None, 1),
        ("Wait", 5, 7.5),
    ]
