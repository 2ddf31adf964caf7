"""Listeners that begin and end at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import text

from tests.conftest import TESTER, Workspace, wait_for
from tests.web.api.conftest import new_api
from tests.web.api.listening import FORWARD_TO, listen
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.extensions import db, services
from webhooks_app.listeners import ending, sessions
from webhooks_app.listeners.sessions import Session, WantedListener

WAITS_FOR_A_LOCK = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("what", ["begin", "end"])
def test_one_that_ends_and_begins_at_once_does_so_in_one_order(
    app: Flask, workspace: Workspace, databases: Databases, what: str
) -> None:
    started = listen(new_api(workspace)).started
    found, endpoint_id = services(app), started["id"]
    db.session.rollback()

    def act() -> Session | int | None:
        if what == "end":
            return ending.end(found.write, endpoint_id, actor=TESTER)
        wanted = WantedListener("laptop", True, (), 5000, FORWARD_TO)
        return sessions.begin(
            found.write, found.cipher, workspace.id, started["token"]["id"], wanted, actor=TESTER
        )

    def is_waiting() -> bool:
        with databases.read.connect_autocommit() as connection:
            return bool(connection.scalar(WAITS_FOR_A_LOCK))

    with ThreadPoolExecutor(1) as pool:
        with databases.write.begin() as connection:  # as the sweep does that ends what is silent
            connection.execute(ending.locked(endpoint_id))
            other = pool.submit(act)
            wait_for(is_waiting)
            ending.end_in_transaction(connection, endpoint_id, ending.SILENT, actor=TESTER, now=clock.now())
        result = other.result(30)
    if isinstance(result, Session):
        assert (result.endpoint_id, result.is_resumed) == (endpoint_id, False)
    else:
        assert result is None
