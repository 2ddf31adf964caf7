"""The audit log is append-only, and every action in it has words for people."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.conftest import Workspace
from webhooks_app.db.engines import WriteDatabase

FORGERIES = {
    "sqlite": "INSERT OR REPLACE INTO audit_entries SELECT * FROM audit_entries",
    "postgresql": "TRUNCATE audit_entries",
}


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_entries SET actor = 'x'", "DELETE FROM audit_entries", FORGERIES]
)
def test_it_takes_no_change(
    statement: str | dict[str, str], workspace: Workspace, database: WriteDatabase
) -> None:
    statement = statement if isinstance(statement, str) else statement[database.dialect.name]
    with pytest.raises(DBAPIError, match="append-only"), database.begin() as connection:
        connection.execute(text(statement))
