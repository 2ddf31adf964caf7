"""A token's allowance in the database: one for all processes, by the database's clock."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from tests.conftest import Workspace
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db.database_limits import DatabaseLimits
from webhooks_app.db.engines import WriteDatabase, databases_of, open_engine
from webhooks_app.db.models import ApiToken, TokenAllowance
from webhooks_app.events import shared_allowances
from webhooks_app.extensions import db

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMIT = RateLimit(10, 50)
# Of a database that may take any time.
LONG = DatabaseLimits(lock_seconds=600, statement_seconds=None, answer_seconds=None)


def decided(full_in: float, *, least: int, most: int, limit: RateLimit = LIMIT) -> tuple[int, float, float]:
    """Return what is taken, what is left, and in how many seconds the bucket is full then."""
    full_at = NOW + timedelta(seconds=full_in)
    grant, then = shared_allowances.decide(full_at, NOW, limit, least=least, most=most)
    return grant.taken, grant.left, (then - NOW).total_seconds()


@pytest.mark.parametrize(
    ("full_in", "least", "most", "expected"),
    [
        (0, 1, 1, (1, 49, 0.1)),
        (0, 1, 80, (50, 0, 5)),  # what is there
        (-100, 1, 80, (50, 0, 5)),  # a bucket holds no more than the burst, however long nobody came
        (2, 30, 40, (30, 0, 5)),
        (2, 31, 40, (0, 30, 2)),  # too little for the request: nothing
        (4.95, 1, 1, (0, 0.5, 4.95)),
        (1000, 1, 1, (0, 0, 5)),  # of a clock that was ahead, or a larger burst
    ],
)
def test_what_is_taken_and_left(
    full_in: float, least: int, most: int, expected: tuple[int, float, float]
) -> None:
    assert decided(full_in, least=least, most=most) == pytest.approx(expected)


@pytest.mark.parametrize("rate", [1, 3, 7, 999, 100_000])
def test_no_rounding_lets_more_through_than_the_rate(rate: int) -> None:
    limit, full_at, taken, now = RateLimit(rate, 3 * rate), NOW, 0, NOW
    for _ in range(3000):
        now += timedelta(microseconds=max(1, round(300_000 / rate)))
        grant, full_at = shared_allowances.decide(full_at, now, limit, least=1, most=1)
        taken += grant.taken
    may = limit.burst + (now - NOW).total_seconds() * rate
    assert taken <= may + 1
    assert taken >= min(3000, may * 0.99 - 1)


def token_of(workspace: Workspace) -> str:
    return db.session.scalars(select(ApiToken.id).where(ApiToken.workspace_id == workspace.id)).one()


def test_many_at_once_get_no_more_than_there_is(workspace: Workspace, database: WriteDatabase) -> None:
    token_id, limit = token_of(workspace), RateLimit(1, 40)
    db.session.rollback()

    def take(_: int) -> int:
        return shared_allowances.take(database, token_id, limit, least=1, most=3).taken

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(take, range(20)))
    # A second or a few more may pass meanwhile, each with an event.
    assert 40 <= sum(taken) <= 60
    assert 0 in taken or sum(taken) >= 57


def test_a_clock_that_was_ahead_blocks_nobody_for_longer_than_a_whole_burst(
    workspace: Workspace, database: WriteDatabase
) -> None:
    token_id = token_of(workspace)
    db.session.rollback()
    assert shared_allowances.take(database, token_id, LIMIT, least=1, most=1).taken == 1
    with database.begin() as connection:
        ahead = datetime.now(UTC) + timedelta(days=1)
        connection.execute(update(TokenAllowance).values(full_at=ahead))
    assert shared_allowances.take(database, token_id, LIMIT, least=1, most=1).taken == 0
    with database.begin() as connection:
        connection.execute(update(TokenAllowance).values(full_at=datetime.now(UTC) + timedelta(seconds=4)))
    assert shared_allowances.take(database, token_id, LIMIT, least=1, most=1).taken == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_row_that_another_process_holds_is_not_waited_for_as_others_are(
    workspace: Workspace, database: WriteDatabase, database_url: str
) -> None:
    token_id = token_of(workspace)
    db.session.rollback()
    shared_allowances.take(database, token_id, LIMIT, least=1, most=1)
    patient = open_engine(database_url, waits_for_disk=False, limits=LONG)
    try:
        with ThreadPoolExecutor(1) as thread, database.begin() as connection:
            connection.execute(select(TokenAllowance.full_at).with_for_update())
            write = databases_of(patient).write
            taking = thread.submit(shared_allowances.take, write, token_id, LIMIT, least=1, most=1)
            with pytest.raises(OperationalError):
                taking.result(30)
    finally:
        patient.dispose()
