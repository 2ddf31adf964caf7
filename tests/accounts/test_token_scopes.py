"""What a token may do, as it is stored."""

import re
from collections.abc import Iterable

import pytest

from webhooks_app.accounts import token_scopes
from webhooks_app.accounts.token_scopes import FIRST_SCOPES, TokenScope


@pytest.mark.parametrize("scopes", [[], ["events:send"], ["deliveries:read", "events:read"], TokenScope])
def test_scopes_are_stored_in_one_order_and_read_again(scopes: Iterable[str]) -> None:
    chosen = [TokenScope(each) for each in scopes]
    stored = token_scopes.join(chosen)
    assert stored == token_scopes.join(reversed(chosen))
    assert token_scopes.parse(stored) == frozenset(chosen)
    assert len(stored) <= 300


def test_scopes_are_stored_under_names_that_stay() -> None:
    assert token_scopes.join(TokenScope).split() == [
        *("events:send", "events:read", "events:listen", "events:erase"),
        *("endpoints:read", "endpoints:write", "deliveries:read", "deliveries:replay"),
    ]


def test_a_token_from_before_there_were_scopes_keeps_what_it_could() -> None:
    assert token_scopes.parse(None) == {TokenScope.EVENTS_SEND, TokenScope.EVENTS_READ} == FIRST_SCOPES


def test_a_scope_of_a_later_version_counts_for_nothing() -> None:
    assert token_scopes.parse("events:send moon:walk") == {TokenScope.EVENTS_SEND}


def test_every_scope_is_described() -> None:
    assert set(token_scopes.DESCRIPTIONS) == set(TokenScope)
    for scope in token_scopes.parse(token_scopes.join(TokenScope)):
        text = token_scopes.DESCRIPTIONS[scope]
        assert re.fullmatch(r"[A-Z][a-z]+[ ,].*[.]", text), text
