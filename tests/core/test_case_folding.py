"""Case makes no difference, in any script."""

import pytest

from webhooks_app.core.case_folding import fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Batch_7Q2M", "bATCH_7q2m"),
        ("NÄCHTLICH", "nächtlich"),
        ("na\u0308chtlich", "n\u00e4chtlich"),
        ("Straße", "STRASSE"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("\u212b", "å"),
    ],
)
def test_spellings_that_differ_in_case_only_are_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_different_letters_stay_different() -> None:
    assert len({fold(each) for each in ("a", "ä", "b", "ı", "é", "e")}) == 6


def test_folding_again_changes_nothing() -> None:
    for text in ("ΐ", "ǰ\u0323", "ŉ", "ᾳ\u0345", "İ"):
        assert fold(fold(text)) == fold(text)
