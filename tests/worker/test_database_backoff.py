from collections.abc import Callable
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from webhooks_app.worker import database_backoff
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


@pytest.mark.parametrize("error_class", [ProgrammingError, IntegrityError])
def test_an_error_that_asking_again_does_not_mend_is_raised(error_class: type[DBAPIError]) -> None:
    def ask() -> None:
        raise error_class("SELECT 1", None, Exception("no such column"))

    backoff = DatabaseBackoff(BackoffLimits(first_seconds=60))
    calls: list[int] = []
    with pytest.raises(error_class):
        backoff.run(ask)
    assert backoff.run(counting(calls))
    assert calls == [1]


def test_the_log_says_once_a_pause_that_the_database_did_not_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backoff = DatabaseBackoff(BackoffLimits(first_seconds=60))
    for _ in range(3):
        backoff.run(fail)
    [record] = caplog.records
    assert (record.message, record.__dict__["cause"]) == ("database_unavailable", "connection")


def test_the_pause_doubles_up_to_the_longest_and_starts_anew_after_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, is_away = 0.0, True
    asked_at: list[float] = []

    def ask() -> None:
        asked_at.append(now)
        if is_away:
            fail()

    monkeypatch.setattr(database_backoff, "time", SimpleNamespace(monotonic=lambda: now))
    backoff = DatabaseBackoff(BackoffLimits(first_seconds=1, longest_seconds=5))
    for quarter in range(4 * 18):
        now = quarter / 4
        backoff.run(ask)
    assert asked_at == [0, 1, 3, 7, 12, 17]

    now, is_away = 100, False
    assert backoff.run(ask)
    asked_at.clear()
    is_away = True
    for quarter in range(4 * 3):
        now = 100 + quarter / 4
        backoff.run(ask)
    assert asked_at == [100, 101]
