"""Keeps what retention deletes, by triggers in the database, so that it can be judged as if it were there."""

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
_SQLITE = """CREATE TRIGGER bury_{table} AFTER DELETE ON {table}
BEGIN INSERT INTO buried_{table} VALUES ({old}); END"""
_POSTGRESQL = (
    """CREATE FUNCTION bury_{table}() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO buried_{table} VALUES ({old}); RETURN NULL; END $$""",
    """CREATE TRIGGER bury_{table} AFTER DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION bury_{table}()""",
)
_FINAL = ", ".join(f"'{state.value}'" for state in FINAL_STATES)


def opened(engine: Engine) -> None:
    """From here on, what is deleted is kept in `buried_…`."""
    with WriteDatabase(engine).begin() as connection:
        templates = (_SQLITE,) if engine.dialect.name == "sqlite" else _POSTGRESQL
        for table, columns in _COLUMNS.items():
            names, old = ", ".join(columns), ", ".join(f"OLD.{name}" for name in columns)
            connection.execute(
                text(f"CREATE TABLE buried_{table} AS SELECT {names} FROM {table} WHERE 1 = 0")
            )
            for template in templates:
                connection.exec_driver_sql(template.format(table=table, old=old))


def closed(engine: Engine) -> None:
    """It is no more, if ever it was."""
    with WriteDatabase(engine).begin() as connection:
        for table in _COLUMNS:
            if engine.dialect.name == "sqlite":
                connection.execute(text(f"DROP TRIGGER IF EXISTS bury_{table}"))
            else:
                connection.execute(text(f"DROP FUNCTION IF EXISTS bury_{table} CASCADE"))
            connection.execute(text(f"DROP TABLE IF EXISTS buried_{table}"))


def unripe(connection: Connection) -> list[str]:
    """What was deleted before its time, in words."""
    return [
        *_found(connection, f"SELECT id, state FROM buried_deliveries WHERE state NOT IN ({_FINAL})", "was"),
        *_found(
            connection,
            "SELECT e.id, d.id FROM buried_events e JOIN deliveries d ON d.event_id = e.id",
            "had the delivery",
        ),
        *_found(
            connection,
            "SELECT a.generation, d.id FROM buried_attempts a JOIN deliveries d ON d.id = a.delivery_id",
            "was an attempt of",
        ),
    ]


def _found(connection: Connection, statement: str, word: str) -> list[str]:
    return [f"deleted: {row[0]}, which {word} {row[1]}" for row in connection.execute(text(statement))]
