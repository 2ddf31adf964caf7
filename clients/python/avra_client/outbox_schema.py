"""The outbox's table, for SQLAlchemy's metadata and as SQL.

Moments are milliseconds since 1970. `state` is `pending`, `sent`, `rejected` or `unknown`; `due_at` and
`claimed_by` are the claim of a relay; `handed_over_at` is when the row may first have reached the platform.
`error` of a pending row is why the platform does not take it while it takes others, `settled_at` since when.
"""

from typing import TYPE_CHECKING

from avra_client.dbapi import check_table_name

if TYPE_CHECKING:
    from sqlalchemy import MetaData, Table

TABLE = "avra_outbox"
LONGEST_TYPE = 255
LONGEST_ERROR = 1000

_COLUMNS = """\
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    type VARCHAR(255) NOT NULL,
    data {text} NOT NULL,
    created_at BIGINT NOT NULL,
    state VARCHAR(8) DEFAULT 'pending' NOT NULL,
    due_at BIGINT DEFAULT 0 NOT NULL,
    claimed_by VARCHAR(36),
    handed_over_at BIGINT,
    settled_at BIGINT,
    event_id VARCHAR(64),
    error VARCHAR(1000)"""
# MySQL's TEXT ends at 64 KiB, and its default character sets are those of its version.
_TEXT = {"sqlite": "TEXT", "postgresql": "TEXT", "mysql": "MEDIUMTEXT"}
_OPTIONS = {"mysql": " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"}


def ddl(dialect: str, table: str = TABLE) -> list[str]:
    """Return the statements that create the table on `sqlite`, `postgresql` or `mysql`. Raises ValueError."""
    if dialect not in _TEXT:
        raise ValueError(f"dialect is one of {', '.join(_TEXT)}")
    columns = _COLUMNS.format(text=_TEXT[dialect])
    index = check_table_name(table).rpartition(".")[2]
    return [
        f"CREATE TABLE {table} (\n{columns}\n){_OPTIONS.get(dialect, '')}",
        f"CREATE INDEX ix_{index}_state ON {table} (state, id)",
    ]


def table(metadata: "MetaData", name: str = TABLE) -> "Table":
    """Return the table in the app's metadata, so that its migrations (Alembic) create it."""
    from sqlalchemy import BigInteger, Column, Index, String, Table, Text
    from sqlalchemy.dialects.mysql import MEDIUMTEXT

    schema, _, own = check_table_name(name).rpartition(".")
    return Table(
        own,
        metadata,
        Column("id", String(36), primary_key=True),
        Column("type", String(LONGEST_TYPE), nullable=False),
        Column("data", Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("state", String(8), nullable=False, server_default="pending"),
        Column("due_at", BigInteger, nullable=False, server_default="0"),
        Column("claimed_by", String(36)),
        Column("handed_over_at", BigInteger),
        Column("settled_at", BigInteger),
        Column("event_id", String(64)),
        Column("error", String(LONGEST_ERROR)),
        Index(f"ix_{own}_state", "state", "id"),
        schema=schema or None,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
