from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError

from webhooks_app.worker.database_backoff import DatabaseBackoff
from webhooks_app.worker.engine_limits import BackoffLimits


def fail() -> None:
    raise OperationalError("SELECT 1", None, Exception("gone"))


def counting(calls: list[int]) -> Callable[[], None]:
    return lambda: calls.append(1)


def test_after_an_error_the_database_is_left_alone() -> None:
    backoff = DatabaseBackoff(BackoffLimits(first_seconds=60))
    calls: list[int] = []
    assert not backoff.run(fail)
    assert not backoff.run(counting(calls))
    assert calls == []


def test_once_the_pause_is_over_the_database_is_asked_again() -> None:
    backoff = DatabaseBackoff(BackoffLimits(first_seconds=0))
    calls: list[int] = []
    assert not backoff.run(fail)
    assert backoff.run(counting(calls))
    assert calls == [1]


def test_an_error_of_another_kind_is_not_the_databases() -> None:
    def refuse() -> None:
        raise ValueError

    backoff = DatabaseBackoff(BackoffLimits(first_seconds=60))
    calls: list[int] = []
    with pytest.raises(ValueError):
        backoff.run(refuse)
    assert backoff.run(counting(calls))
