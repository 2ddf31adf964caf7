"""Text that deceives, and scripts and emoji that need what looks alike."""

import pytest

from webhooks_app.core import visible_text

SEEN = [
    *("Acme", "Ünïcode", "日本語", "नमस्ते", "क्‍ष", "می‌خواهم", "עברית", "a\u0301", "葛\U000e0100飾", "東京 2"),
    *("❤️", "👩‍👩‍👧", "1️⃣", "🏳️‍🌈", "Orders 🚀", "A–Z (1)", "\u06dd1", "a\u00a0b", "🫨"),
]
UNSEEN = [
    *(
        "\u3164",
        "\u2065",
        "\ufff0",
        "\U00013441",
        "\U000e0fff",
        "\ue000",
        "\u2800",
        "\u115f",
        "\u1160",
        "\uffa0",
        "\u034f",
        "\u00ad",
        "\u180e",
        "\u200b",
        "\u2060",
        "\ufeff",
    ),
    *(
        "\u17b4",
        "\u180b",
        "\u2064",
        "\u206f",
        "\U000e0041",
        "\U0001d159",
        "\U0001d173",
        "\u202e",
        "\u2066",
        "\u061c",
    ),
    *("\u200f", "\0", "\n", "\x1b", "\x85", "\u2028", "\ud800", "\u200d", "\u200c", "\ufe0f"),
    *("\U000e0100", "\u2066", "\u061c"),
]


@pytest.mark.parametrize("text", SEEN)
def test_what_people_write_is_seen(text: str) -> None:
    assert not visible_text.has_unseen(text)
    assert visible_text.is_visible(text)


@pytest.mark.parametrize("character", UNSEEN, ids=ascii)
@pytest.mark.parametrize("around", ["{}", "Ac{}me", "{}Acme", "Acme{}"])
def test_what_is_not_drawn_is_found(character: str, around: str) -> None:
    assert visible_text.has_unseen(around.format(character))


@pytest.mark.parametrize(
    "text", ["日\u200d\u200d本", "日\u200d", "\u200d日", "日\u200dA", "👩\ufe0f\ufe0f", "A\ufe0f"]
)
def test_joiners_and_selectors_are_let_through_where_they_belong(text: str) -> None:
    assert visible_text.has_unseen(text)


@pytest.mark.parametrize("text", ["", " ", "\u0301", "\u0301 \u20dd", "\u00a0", "\u3000", "\u3164", "\u0903"])
def test_marks_and_space_alone_are_nothing_to_see(text: str) -> None:
    assert not visible_text.is_visible(text)
