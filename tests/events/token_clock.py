"""A clock in the hand of a test, by which the allowances of tokens are counted."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from webhooks_app.db import database_clock
from webhooks_app.events import process_allowances

BEGAN_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class TokenClock:
    """How long it is since it was handed in: for this process and the database alike."""

    seconds: float = 0.0


def hand_in(monkeypatch: pytest.MonkeyPatch) -> TokenClock:
    clock = TokenClock()
    monkeypatch.setattr(process_allowances, "time", SimpleNamespace(monotonic=lambda: clock.seconds))
    monkeypatch.setattr(database_clock, "read", lambda _: BEGAN_AT + timedelta(seconds=clock.seconds))
    return clock
