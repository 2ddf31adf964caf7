"""What people are told of each class of outcome."""

import pytest

from webhooks_app.core.outcome_descriptions import DESCRIPTIONS
from webhooks_app.core.outcomes import OutcomeClass


@pytest.mark.parametrize("kind", OutcomeClass)
def test_every_class_has_words(kind: OutcomeClass) -> None:
    words = DESCRIPTIONS[kind]
    assert words.label and not words.label.endswith(".")
    assert words.reason.endswith(".")
    assert kind is OutcomeClass.SUCCESS or words.hint.endswith(".")


def test_no_two_classes_share_their_words() -> None:
    assert set(DESCRIPTIONS) == set(OutcomeClass)
    assert len({words.label for words in DESCRIPTIONS.values()}) == len(OutcomeClass)
    assert len({words.reason for words in DESCRIPTIONS.values()}) == len(OutcomeClass)


def test_a_success_needs_no_hint() -> None:
    assert DESCRIPTIONS[OutcomeClass.SUCCESS].hint == ""
