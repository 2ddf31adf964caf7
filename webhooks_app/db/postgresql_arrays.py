"""Arrays as values of statements, in PostgreSQL's binary format.

The driver makes those of plain lists in Python, value by value and through a dumper each, which was a sixth
of an accept. It also takes a list of nothing but None for one of another type, which is another statement to
prepare.
"""

import struct
from collections.abc import Iterable
from typing import ClassVar

# Of pg_type.dat, which PostgreSQL keeps from version to version.
_TEXT_OID, _TEXT_ARRAY_OID = 25, 1009
_BYTEA_OID, _BYTEA_ARRAY_OID = 17, 1001
# As `array_recv` of arrayfuncs.c reads it: dimensions, whether NULLs are among the values, their type; and
# for the one dimension its size and first index. Then each value's length, -1 for NULL, and its bytes.
_EMPTY = struct.Struct("!iiI")
_HEAD = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)


class TextArray(list[str | None]):
    """A value for CAST(… AS text[])."""

    oid: ClassVar[int] = _TEXT_ARRAY_OID

    def as_binary(self) -> bytes:
        """Return what PostgreSQL takes. Raises UnicodeEncodeError for a lone surrogate."""
        return _binary(_TEXT_OID, [None if each is None else each.encode() for each in self])


class ByteaArray(list[bytes]):
    """A value for CAST(… AS bytea[])."""

    oid: ClassVar[int] = _BYTEA_ARRAY_OID

    def as_binary(self) -> bytes:
        """Return what PostgreSQL takes."""
        return _binary(_BYTEA_OID, self)


def _binary(element_oid: int, values: Iterable[bytes | None]) -> bytes:
    parts = [b""]
    count = has_null = 0
    for each in values:
        count += 1
        if each is None:
            has_null = 1
            parts.append(_NULL)
        else:
            parts += (_LENGTH.pack(len(each)), each)
    parts[0] = _HEAD.pack(1, has_null, element_oid, count, 1) if count else _EMPTY.pack(0, 0, element_oid)
    return b"".join(parts)
