"""Text in payloads: whether it is there, and where in what is shown."""

import pytest

from webhooks_app.deliveries.log.payload_text import PayloadText


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("needle", '{"n":"a NEEDLE"}'),
        ('"n": "a', '{"N":"A needle"}'),
        ('"n":"a', '{"n" : "a", "n": "a"}'),
        ("straße", '{"n":"STRASSE"}'),
        ("é", '{"n":"e\u0301"}'),
        ("É", r'{"n":"\u00e9"}'),
        ("🎈", r'{"n":"\ud83c\udf88"}'),
        ("a/b", r'{"n":"A\/B"}'),
        (r"\u00E9", r'{"n":"\u00e9"}'),
    ],
)
def test_it_is_in_a_body(text: str, body: str) -> None:
    assert PayloadText.of(text).is_in(body.encode())


@pytest.mark.parametrize(
    ("text", "body"),
    [("needle", '{"n":"need"}'), ("é", '{"n":"e"}'), ("a", r'{"n":"\u00e1"}'), ("\ud800", '{"n":"x"}')],
)
def test_it_is_not_in_a_body(text: str, body: str) -> None:
    assert not PayloadText.of(text).is_in(body.encode())


@pytest.mark.parametrize(
    ("text", "shown", "marked"),
    [
        ("ab", "xAByabAB", ["AB", "ab", "AB"]),
        ('"n":"a', '{\n  "N": "A b"\n}', ['"N": "A']),
        ("straße", "Zur STRASSE hin", ["STRASSE"]),
        ("ss", "ß und Ss", ["ß", "Ss"]),
        ("e\u0301", "ros\u00e9 ß", ["\u00e9"]),
        ("x", "", []),
        ("", "x", []),
    ],
)
def test_its_matches_are_found_in_what_is_shown(text: str, shown: str, marked: list[str]) -> None:
    assert [shown[start:end] for start, end in PayloadText.of(text).spans(shown)] == marked
