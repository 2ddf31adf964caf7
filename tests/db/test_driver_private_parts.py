"""What we override in SQLAlchemy's pool and in psycopg is as it was when it was written.

Neither documents it for that. Where one of these tests fails after an upgrade: read what has changed in the
method, see whether `webhooks_app/db/` still does what its comments say, and then note the new value here.
`requirements.in` bounds both versions.
"""

import inspect

import psycopg
import pytest
from sqlalchemy import log
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import queue

from tests.jobs.test_rq_private_parts import digest
from webhooks_app.db.connection_pool import ConnectionPool
from webhooks_app.db.postgresql_connection import BoundedConnection

# The sources that we override, or that call our overrides: the first digits of the SHA-256 of each.
REVIEWED: dict[type, dict[str, str]] = {
    QueuePool: {"__init__": "d3f74e98a759", "_do_get": "765070dd194a", "recreate": "3a402c6f7648"},
    queue.Queue: {"get": "14c43633de65"},
    psycopg.Connection: {
        "wait": "602ce5e47fca",
        "commit": "8e0e3ab4c84b",
        "rollback": "eb23fc8f4ed9",
        "close": "896c41a2375a",
    },
}


@pytest.mark.parametrize("library", REVIEWED, ids=lambda library: library.__name__)
def test_what_surrounds_our_overrides_is_what_was_reviewed(library: type) -> None:
    assert {name: digest(library, name) for name in REVIEWED[library]} == REVIEWED[library]


def test_every_override_of_a_connection_is_listed() -> None:
    inherited = {
        name for name in vars(BoundedConnection) if name in dir(psycopg.Connection) and name[:2] != "__"
    }
    assert inherited <= REVIEWED[psycopg.Connection].keys()


def test_the_pool_has_what_ours_replaces() -> None:
    assert QueuePool._queue_class is queue.Queue
    inherited = {name for name in vars(ConnectionPool) if name in dir(QueuePool) and name[:2] != "__"}
    assert inherited == {"_queue_class"}
    assert "_sqla_logger_namespace" in inspect.getsource(log)
