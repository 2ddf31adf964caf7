"""A database that answers and takes no writes is known by what writes came to."""

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError

from tests.raising import raising
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Heartbeat
from webhooks_app.db.transient_errors import Cause
from webhooks_app.db.write_refusals import WriteRefusals

only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


class Driver(Exception):
    """An error as psycopg raises it."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("as it were")
        self.sqlstate = sqlstate


def error(sqlstate: str) -> DBAPIError:
    return DBAPIError("INSERT", None, Driver(sqlstate))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_refused_again_and_again_began_with_the_first() -> None:
    moment = Clock()
    refusals = WriteRefusals(clock=moment)
    for _ in range(4):
        moment.now += 20
        refusals.note(error("53100"))
    assert refusals.lasting() == (Cause.DISK_FULL, 60)
    assert refusals.report() == {"database": "disk_full", "database_seconds": 60}
    moment.now += 31
    assert refusals.lasting() is None
    refusals.note(error("53100"))
    assert refusals.lasting() == (Cause.DISK_FULL, 0)


def test_a_write_that_was_taken_shows_a_primary_and_no_room_on_a_disk() -> None:
    refusals = WriteRefusals(clock=Clock())
    for sqlstate, is_over in (("53100", False), ("58030", False), ("25006", True)):
        refusals.note(error(sqlstate))
        refusals.note_success()
        assert (refusals.lasting() is None) == is_over


@pytest.mark.parametrize("sqlstate", ["40001", "57014", "53300", "23505"])
def test_what_passes_by_itself_or_is_ours_is_no_refusal(sqlstate: str) -> None:
    refusals = WriteRefusals()
    refusals.note(error(sqlstate))
    assert refusals.report() == {"database": None, "database_seconds": None}


@only_postgresql
def test_all_that_write_to_a_database_share_what_they_met(databases: Databases) -> None:
    row = {"name": "refused", "at": clock.now()}
    with raising(databases.write, "heartbeats", "53100"):
        patient = databases.write.without_time_limit()
        with pytest.raises(DBAPIError), patient.begin() as connection:
            connection.execute(insert(Heartbeat).values(row))
    lasting = databases.write.refusals.lasting()
    assert lasting is not None
    assert lasting[0] is Cause.DISK_FULL


def test_the_writing_side_notes_what_its_transactions_end_with(databases: Databases) -> None:
    with pytest.raises(DBAPIError), databases.write.begin():
        raise error("25006")
    assert databases.write.refusals.lasting() is not None
    with databases.write.begin():
        pass
    assert databases.write.refusals.lasting() is None
