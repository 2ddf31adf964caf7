"""Keeps what retention deletes, by triggers in the database, so that the checker can judge it with the rest.

What is deleted from `events`, `deliveries` and `attempts` is copied to `deleted_events` and so on.
"""

from sqlalchemy import Connection, Engine, text

from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import FINAL_STATES

_COLUMNS = {
    "events": ("id", "workspace_id", "body"),
    "deliveries": (
        *("id", "workspace_id", "event_id", "endpoint_id"),
        *("state", "generation", "tries", "last_outcome"),
    ),
    "attempts": ("delivery_id", "generation"),
}
_SQLITE = """CREATE TRIGGER keep_deleted_{table} AFTER DELETE ON {table}
BEGIN INSERT INTO deleted_{table} VALUES ({old}); END"""
_POSTGRESQL = (
    """CREATE FUNCTION keep_deleted_{table}() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO deleted_{table} VALUES ({old}); RETURN NULL; END $$""",
    """CREATE TRIGGER keep_deleted_{table} AFTER DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION keep_deleted_{table}()""",
)
_FINAL = ", ".join(f"'{state.value}'" for state in FINAL_STATES)


def install_triggers(engine: Engine) -> None:
    """Create the `deleted_…` tables and the triggers that fill them."""
    with WriteDatabase(engine).begin() as connection:
        templates = (_SQLITE,) if engine.dialect.name == "sqlite" else _POSTGRESQL
        for table, columns in _COLUMNS.items():
            names, old = ", ".join(columns), ", ".join(f"OLD.{name}" for name in columns)
            connection.execute(
                text(f"CREATE TABLE deleted_{table} AS SELECT {names} FROM {table} WHERE 1 = 0")
            )
            for template in templates:
                connection.exec_driver_sql(template.format(table=table, old=old))


def remove_triggers(engine: Engine) -> None:
    """Drop the triggers and the `deleted_…` tables, where they exist."""
    with WriteDatabase(engine).begin() as connection:
        for table in _COLUMNS:
            if engine.dialect.name == "sqlite":
                connection.execute(text(f"DROP TRIGGER IF EXISTS keep_deleted_{table}"))
            else:
                connection.execute(text(f"DROP FUNCTION IF EXISTS keep_deleted_{table} CASCADE"))
            connection.execute(text(f"DROP TABLE IF EXISTS deleted_{table}"))


def deleted_too_early(connection: Connection) -> list[str]:
    """Return a sentence for each row that was not final, or still referred to, when it was deleted."""
    return [
        *_found(connection, f"SELECT id, state FROM deleted_deliveries WHERE state NOT IN ({_FINAL})", "was"),
        *_found(
            connection,
            "SELECT e.id, d.id FROM deleted_events e JOIN deliveries d ON d.event_id = e.id",
            "had the delivery",
        ),
        *_found(
            connection,
            "SELECT a.generation, d.id FROM deleted_attempts a JOIN deliveries d ON d.id = a.delivery_id",
            "was an attempt of",
        ),
    ]


def _found(connection: Connection, statement: str, relation: str) -> list[str]:
    return [f"deleted: {row[0]}, which {relation} {row[1]}" for row in connection.execute(text(statement))]
