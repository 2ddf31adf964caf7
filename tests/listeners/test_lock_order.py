"""Listeners that begin and end at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select, text, update

from tests.conftest import TESTER, Workspace
from tests.listeners.listening import begin, token_of
from tests.waiting import wait_for
from tests.web.api.conftest import new_api
from tests.web.api.listening import FORWARD_TO, listen
from webhooks_app.core import clock
from webhooks_app.db import models
from webhooks_app.db.engines import Databases
from webhooks_app.extensions import db, services
from webhooks_app.listeners import ending, listener_sessions
from webhooks_app.listeners.listener_limits import ListenerLimits, TooManyListeners
from webhooks_app.listeners.listener_sessions import ListenerSession, NewListener

WAITS_FOR_A_LOCK = text("""
    SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
""")


def is_somebody_waiting(databases: Databases) -> bool:
    """Return whether a transaction waits for another's lock on PostgreSQL."""
    with databases.read.connect_autocommit() as connection:
        return bool(connection.scalar(WAITS_FOR_A_LOCK))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("what", ["begin", "end"])
def test_one_that_ends_and_begins_at_once_does_so_in_one_order(
    app: Flask, workspace: Workspace, databases: Databases, what: str
) -> None:
    started = listen(new_api(workspace)).started
    found, endpoint_id = services(app), started["id"]
    db.session.rollback()

    def act() -> ListenerSession | int | None:
        if what == "end":
            return ending.end(found.write, endpoint_id, actor=TESTER)
        wanted = NewListener("laptop", True, (), 5000, FORWARD_TO)
        return listener_sessions.begin(
            found.write, found.cipher, workspace.id, started["token"]["id"], wanted, actor=TESTER
        )

    with ThreadPoolExecutor(1) as pool:
        with databases.write.begin() as connection:  # as the sweep does that ends what is silent
            connection.execute(ending.locked(endpoint_id))
            other = pool.submit(act)
            wait_for(lambda: is_somebody_waiting(databases))
            ending.end_in_transaction(connection, endpoint_id, ending.SILENT, actor=TESTER, now=clock.now())
        result = other.result(30)
    if isinstance(result, ListenerSession):
        assert (result.endpoint_id, result.is_resumed) == (endpoint_id, False)
    else:
        assert result is None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_two_that_begin_at_once_one_is_the_last_that_there_may_be(
    app: Flask, workspace: Workspace, databases: Databases
) -> None:
    found, token_id, limits = services(app), token_of(workspace), ListenerLimits(live=1)
    ended = begin(workspace, name="ended", limits=limits).endpoint_id
    ending.end(databases.write, ended, actor=TESTER)
    wanted = NewListener("other", True, (), 5000, FORWARD_TO)

    def begin_other() -> ListenerSession:
        write, cipher = found.write, found.cipher
        return listener_sessions.begin(
            write, cipher, workspace.id, token_id, wanted, limits=limits, actor=TESTER
        )

    with ThreadPoolExecutor(1) as pool:
        with databases.write.begin() as connection:  # as the one does that begins the ended one again
            mine = select(models.Workspace.id).where(models.Workspace.id == workspace.id)
            connection.execute(mine.with_for_update(key_share=True))
            other = pool.submit(begin_other)
            wait_for(lambda: is_somebody_waiting(databases))
            again = update(models.Endpoint).where(models.Endpoint.id == ended)
            connection.execute(again.values(deleted_at=None))
        with pytest.raises(TooManyListeners):
            other.result(30)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_none_waits_for_an_event_that_is_being_accepted(workspace: Workspace, databases: Databases) -> None:
    with databases.write.begin() as connection:
        mine = select(models.Workspace.id).where(models.Workspace.id == workspace.id)
        # What a row takes that refers to the workspace.
        connection.execute(mine.with_for_update(read=True, key_share=True))
        assert not begin(workspace).is_resumed
