"""SQLite's one write lock between processes, which cannot wait on each other's turn as threads do."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.conftest import Workspace, deployed, wait_for
from webhooks_app import config
from webhooks_app.db.models import Event
from webhooks_app.extensions import db

EVENTS = 150
# Commits come in runs, as whoever has just had the lock is the first to ask again.
TURNS = 6
# Accepts one event after the other, without a pause, for as long as it lives.
ACCEPTS_FOR_EVER = """
import sys
from webhooks_app import config
from webhooks_app.events.accept import NewEvent, accept_events
from webhooks_app.services import open_services

found = open_services(config.read(), waits_for_disk=True)
event = NewEvent.of("batch-lifecycle", {"batch_id": "b1", "status": "queued"})
while True:
    accept_events(found.databases.write, found.wake_ups, sys.argv[1], [event])
"""


@contextmanager
def writer(workspace: Workspace, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", ACCEPTS_FOR_EVER, workspace.id]
    process = subprocess.Popen(command, cwd=config.ROOT, env=dict(os.environ) | environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait(120)


def accepted_by(workspace: Workspace) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).where(Event.workspace_id == workspace.id)) or 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_two_processes_that_write_without_a_pause_neither_starves(
    make_workspace: Callable[[str], Workspace], database_url: str, redis_url: str, tmp_path: Path
) -> None:
    ours, theirs = make_workspace("Ours"), make_workspace("Theirs")
    environ = deployed(database_url, redis_url, tmp_path)
    with writer(ours, environ) as one, writer(theirs, environ) as other:
        wait_for(lambda: accepted_by(ours) and accepted_by(theirs), 120)
        before = accepted_by(ours), accepted_by(theirs)
        # Each goes on while the other does; one that had waited for too long would have ended with an error.
        for workspace, count in zip((ours, theirs), before, strict=True):
            wait_for(lambda: accepted_by(workspace) >= count + EVENTS, 120)  # noqa: B023
        assert one.poll() is other.poll() is None
        assert _turns() >= TURNS


def _turns() -> int:
    """Count how often one process had its turn after the other."""
    db.session.rollback()
    order = db.session.scalars(select(Event.workspace_id).order_by(Event.id)).all()
    return sum(before != after for before, after in pairwise(order))
