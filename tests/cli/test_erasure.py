"""`avra events erase`: asks, refuses while something is to be sent, says what it erased."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import LargeBinary, select, text, type_coerce

from tests.cli.shell import Shell
from tests.conftest import Workspace
from tests.deliveries.test_payload_retention import upgrading
from tests.raising import raising
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Event
from webhooks_app.extensions import db, services

DEADLOCK = "40P01"
only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def bodies() -> list[bool]:
    db.session.rollback()
    found = [bool(each) for each in db.session.scalars(select(Event.body))]
    db.session.rollback()  # the command waits for readers
    return found


def test_it_asks_refuses_erases_and_says_so(shell: Shell, workspace: Workspace, app: Flask) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    [event_id] = workspace.send()

    assert "Aborted" in shell.refused("events", "erase", event_id, typed="n\n")
    unanswered = shell.run("events", "erase", event_id)
    assert "There is nobody to ask: say --yes." in unanswered.stderr
    assert unanswered.exit_code == os.EX_USAGE
    refused = shell.refused("events", "erase", event_id, "--yes")
    assert "1 delivery is still to be sent of this event. Wait for that, or say --cancel-pending." in refused
    assert bodies() == [True]
    erased = shell.done("events", "erase", event_id, "--cancel-pending", typed="y\n")
    assert f"The payload of {event_id} is erased" in erased
    assert "1 delivery canceled." in erased
    assert bodies() == [False]
    assert "was erased before" in shell.done("events", "erase", event_id, "--yes")
    [row] = shell.rows("events", "erase", event_id, "--yes")
    assert (row["event_id"], row["was_erased"], row["deliveries_canceled"]) == (event_id, True, 0)


def test_it_refuses_while_the_code_before_may_run(shell: Shell, workspace: Workspace) -> None:
    [event_id] = workspace.send()
    upgrading(services().write, until=clock.now() + timedelta(hours=1))

    refused = shell.refused("events", "erase", event_id, "--cancel-pending", "--yes")
    assert "Nothing is erased before 20" in refused
    assert bodies() == [True]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_byte_of_it_is_left_in_the_files_once_nobody_reads(
    shell: Shell, workspace: Workspace, databases: Databases, tmp_path: Path
) -> None:
    [event_id] = workspace.send(note="Frau-Mueller-4711")
    stored = bytes(db.session.scalars(select(type_coerce(Event.body, LargeBinary))).one())
    content = stored[-30:]
    log = tmp_path / "test.db-wal"
    db.session.rollback()
    with databases.read.connect() as reading:
        reading.execute(select(Event.id)).all()
        assert content in log.read_bytes()
        warned = shell.run("events", "erase", event_id, "--yes")
        assert "warning: The file beside the database (-wal)" in warned.output
        assert content in log.read_bytes()
    assert "was erased before" in shell.done("events", "erase", event_id, "--yes")
    assert content not in log.read_bytes()
    assert content not in (tmp_path / "test.db").read_bytes()


def test_what_is_no_event_is_refused(shell: Shell) -> None:
    assert "There is no event evt_x." in shell.refused("events", "erase", "evt_x", "--yes")


def test_several_are_erased_at_once_but_for_those_that_cannot_be(
    shell: Shell, workspace: Workspace, databases: Databases
) -> None:
    """What costs seconds on PostgreSQL, the statistics made anew, is done once for all of them."""
    erasable = [*workspace.send(note="one"), *workspace.send(note="two"), *workspace.send(note="three")]
    workspace.endpoint("http://127.0.0.1:9/")
    [pending] = workspace.send()
    sampled_before = times_sampled(databases.write)
    result = shell.run("events", "erase", *erasable, pending, "evt_x", *erasable, "--yes")

    assert result.exit_code == 1
    assert [f"The payload of {event_id} is erased" in result.stdout for event_id in erasable] == [True] * 3
    assert f"{pending}: 1 delivery is still to be sent of this event." in result.stderr
    assert "There is no event evt_x." in result.stderr
    assert sorted(bodies()) == [False] * 3 + [True]
    is_postgresql = databases.write.dialect.name == "postgresql"
    assert times_sampled(databases.write) == sampled_before + is_postgresql


@only_postgresql
def test_one_at_which_the_database_fails_keeps_no_other_from_it(
    shell: Shell, workspace: Workspace, database: WriteDatabase
) -> None:
    [first], [second], [third] = (workspace.send(note=note) for note in ("one", "two", "three"))
    sampled_before = times_sampled(database)
    with raising(database, "late_payloads", DEADLOCK, which=f"NEW.event_id = '{second}'"):
        result = shell.run("events", "erase", first, second, third, "--yes")

    assert result.exit_code == os.EX_UNAVAILABLE
    assert result.stdout.count("is erased") == 2
    assert f"{second}: The database does not answer as it should: as it were" in result.stderr
    assert sorted(bodies()) == [False, False, True]
    assert times_sampled(database) == sampled_before + 1
    assert f"The payload of {second} is erased" in shell.done("events", "erase", second, "--yes")


@only_postgresql
def test_what_was_erased_is_said_where_the_database_fails_after_it(
    shell: Shell, workspace: Workspace, database: WriteDatabase
) -> None:
    [event_id] = workspace.send()
    with raising(database, "late_payloads", DEADLOCK, act="DELETE"):
        result = shell.run("events", "erase", event_id, "--yes")

    assert result.exit_code == os.EX_UNAVAILABLE
    assert f"The payload of {event_id} is erased" in result.stdout
    assert "The database does not answer as it should: as it were" in result.stderr
    assert "was erased before" in shell.done("events", "erase", event_id, "--yes")


def times_sampled(database: WriteDatabase) -> int:
    """Return how often PostgreSQL was told to sample the events, in all tests of this database."""
    if database.dialect.name != "postgresql":
        return 0
    counted = text("SELECT analyze_count FROM pg_stat_user_tables WHERE relname = 'events'")
    with database.begin() as connection:
        return connection.scalar(counted) or 0
