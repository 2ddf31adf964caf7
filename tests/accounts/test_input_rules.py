"""Names and passwords: one set of rules."""

import pytest

from webhooks_app.accounts import input_rules


@pytest.mark.parametrize("typed", ["Acme", " Acme\t", "日本", "x" * 100, "O’Neil & Söhne, 2. Abt."])
def test_a_name_is_returned_without_space_around_it(typed: str) -> None:
    assert input_rules.check_name(typed) == typed.strip()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        *(("", "must not be empty"), (" \n", "must not be empty"), ("\u3000", "must not be empty")),
        *(("x" * 101, "may have at most 100 characters; this one has 101"), ("a\nb", "control character")),
        *(("\u3164", "cannot be seen"), ("Ac\u2800me", "cannot be seen"), ("Acme\u202e", "cannot be seen")),
        *(("\u0301\u0302", "nothing that can be seen"), ("a\ud800", "control character")),
    ],
)
def test_what_is_no_name_is_refused_with_a_sentence(typed: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"{words}.*\\.$"):
        input_rules.check_name(typed)


@pytest.mark.parametrize("password", ["x" * 15, " " * 15, "\u3164" * 15, "x" * 1024, "correct horse battery"])
def test_a_password_has_no_rules_beyond_length(password: str) -> None:
    assert input_rules.check_password(password) == password


@pytest.mark.parametrize(
    ("password", "words"),
    [("a", "15 characters"), ("", "15"), ("x" * 1025, "1024"), ("\udcff" * 15, "UTF-8")],
)
def test_what_is_no_password_is_refused_and_not_repeated(password: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        input_rules.check_password(password)
    assert len(password) < 2 or password not in str(caught.value)
