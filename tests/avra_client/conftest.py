"""A platform on SQLite behind its own web server, and an app's database of either kind with an outbox."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from avra_client import dbapi, outbox_schema
from avra_client.client import Client
from avra_client.outbox import Outbox
from avra_client.outbox_rows import OutboxRows
from avra_client.relay import Relay
from avra_client.relay_state import RelayLimits
from tests.conftest import Workspace
from tests.postgresql_databases import autocommit
from tests.server.running_server import serving
from webhooks_app.db.models import Event
from webhooks_app.extensions import db

TYPE = "batch-lifecycle"
DATA = {"batch_id": "b1", "status": "succeeded"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The platform's: SQLite alone, as nothing here depends on it."""
    return sqlite_url


@pytest.fixture
def platform_url(workspace: Workspace) -> Iterator[str]:
    with serving(workspace.app) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def client(platform_url: str, workspace: Workspace) -> Iterator[Client]:
    with Client(platform_url, workspace.token) as client:
        yield client


@dataclass(frozen=True)
class Store:
    """The app's database, whose outbox is empty."""

    url: str
    opened: list[OutboxRows] = field(default_factory=list)

    def connect(self) -> Any:
        return dbapi.connector(self.url)()

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            found = cursor.fetchall() if cursor.description else []
            connection.commit()
            return [tuple(row) for row in found]

    def fill(self, count: int, **data: object) -> list[str]:
        """Write so many events into the outbox in one transaction; return the rows' ids."""
        with closing(self.connect()) as connection:
            cursor = connection.cursor()
            if self.url.startswith("sqlite"):
                cursor.execute("BEGIN")
            ids = [Outbox().send(cursor, TYPE, DATA | {"batch_id": f"b{n}"} | data) for n in range(count)]
            connection.commit()
        return ids

    def states(self) -> dict[str, str]:
        return {str(row[0]): str(row[1]) for row in self.run("SELECT id, state FROM avra_outbox")}

    def rows(self) -> OutboxRows:
        self.opened.append(OutboxRows(self.connect()))
        return self.opened[-1]

    def close(self) -> None:
        for rows in self.opened:
            rows.close()

    def relay(self, client: Client, **limits: Any) -> Relay:
        return Relay(self.connect, client, limits=RelayLimits(**limits))


@pytest.fixture(scope="session")
def app_postgresql_url(postgresql_url: str) -> Iterator[str]:
    """A database of the app's own on the server of the tests."""
    name = make_url(postgresql_url).database
    own = make_url(postgresql_url).set(database=f"{name}_app")
    autocommit(postgresql_url, f'CREATE DATABASE "{own.database}"')
    yield own.render_as_string(hide_password=False)
    autocommit(postgresql_url, f'DROP DATABASE "{own.database}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A database without an outbox."""
    if request.param == "sqlite":
        (tmp_path / "app.db").touch()
        with closing(Store(f"sqlite:///{tmp_path / 'app.db'}")) as store:
            yield store
        return
    with closing(Store(request.getfixturevalue("app_postgresql_url"))) as store:
        yield store
    store.run("DROP TABLE IF EXISTS avra_outbox")


@pytest.fixture
def store(empty_store: Store) -> Store:
    dialect = make_url(empty_store.url).get_backend_name()
    for statement in outbox_schema.ddl(dialect):
        empty_store.run(statement)
    return empty_store


def accepted_keys() -> list[str]:
    """Return the idempotency keys of the platform's events, in the order in which they were accepted."""
    db.session.rollback()
    found = db.session.query(Event.idempotency_key).order_by(Event.id)
    return [row.idempotency_key or "" for row in found]
