"""How psycopg sends our arrays. Apart from them, as only a process with PostgreSQL loads psycopg."""

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from webhooks_app.db.postgresql_arrays import ByteaArray, TextArray


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: TextArray | ByteaArray) -> bytes:
        return obj.as_binary()


class _TextArrayDumper(_ArrayDumper):
    oid = TextArray.oid


class _ByteaArrayDumper(_ArrayDumper):
    oid = ByteaArray.oid


def register() -> None:
    """Have all connections of this process send the arrays so."""
    psycopg.adapters.register_dumper(TextArray, _TextArrayDumper)
    psycopg.adapters.register_dumper(ByteaArray, _ByteaArrayDumper)
