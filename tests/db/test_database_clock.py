"""How far a host's clock is off, as far as a question and its answer can tell."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from webhooks_app.core import clock
from webhooks_app.db import database_clock
from webhooks_app.db.engines import Databases

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("its", "answered", "ahead"),
    [
        (0, 0, 0),
        (1, 20, 0),  # the host was busy before it had the answer
        (19, 20, 0),  # or the database was
        (-5, 20, 5),
        (25, 20, -5),
    ],
)
def test_a_slow_answer_is_no_difference_of_clocks(
    monkeypatch: pytest.MonkeyPatch, its: float, answered: float, ahead: float
) -> None:
    own = iter([at(0), at(answered)])
    monkeypatch.setattr(clock, "now", lambda: next(own))
    monkeypatch.setattr(database_clock, "read", lambda _: at(its))
    assert database_clock.compare(Connection.__new__(Connection)) == (at(its), timedelta(seconds=ahead))


def test_a_database_of_this_host_has_its_clock(databases: Databases) -> None:
    before = clock.now()
    with databases.read.connect() as connection:
        now, ahead = database_clock.compare(connection)
    assert before <= now <= clock.now()
    assert ahead == timedelta(0)
