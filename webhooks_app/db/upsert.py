"""Inserting a row that may be there already, in the words of each dialect."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, TableClause

from webhooks_app.db.write_connection import WriteConnection

if TYPE_CHECKING:
    from webhooks_app.db.models.base import Base


def insert_if_new(connection: WriteConnection, model: "type[Base]", row: Mapping[str, Any]) -> bool:
    """Insert the row unless another has one of its unique keys; return whether it was inserted."""
    # Told by what RETURNING gives: psycopg keeps no row count of an INSERT.
    [key, *_] = model.__table__.primary_key
    statement = _insert(connection, model, row).on_conflict_do_nothing().returning(key)
    return connection.execute(statement).first() is not None


def insert_rows_if_new(
    connection: WriteConnection, model: "type[Base]", rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert those of the rows whose unique keys no other has."""
    if rows:
        connection.execute(_insert(connection, model, rows).on_conflict_do_nothing())


def insert_or_update(
    connection: WriteConnection,
    model: "type[Base] | TableClause",
    row: Mapping[str, Any],
    *,
    key: Sequence[str],
) -> None:
    """Insert the row, or give the one that has the same `key` the row's other values."""
    changed = {name: value for name, value in row.items() if name not in key}
    statement = _insert(connection, model, row)
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed))


def insert_or_change(
    connection: WriteConnection,
    model: "type[Base]",
    row: Mapping[str, Any],
    *,
    key: Sequence[str],
    changes: Mapping[str, Any],
    where: ColumnElement[bool],
) -> bool:
    """Insert the row, or make the changes to the one that has the same `key` if `where` holds for that.

    Returns whether either was done.
    """
    statement = _insert(connection, model, row)
    changed = statement.on_conflict_do_update(index_elements=key, set_=dict(changes), where=where)
    return connection.execute(changed.returning(*model.__table__.primary_key)).first() is not None


def _insert(
    connection: WriteConnection,
    model: "type[Base] | TableClause",
    row: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> Any:
    # By its name, as each dialect takes a megabyte of every process that loads it.
    dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
    return dialect.insert(model).values(row)
