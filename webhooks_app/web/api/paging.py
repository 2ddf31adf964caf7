"""Pages of lists: `{"data": […], "next": …}`, by keyset."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select

from webhooks_app.core import ids
from webhooks_app.db import keyset
from webhooks_app.extensions import db
from webhooks_app.web.api.errors import refuse

RowT = TypeVar("RowT")


class PageRequest(Protocol):
    """What a request asks for of a list."""

    limit: int
    cursor: str


def check_cursor(query: PageRequest, prefix: str) -> None:
    """Raise ApiError 400 for a cursor that this list cannot have given."""
    if query.cursor and not ids.is_id(prefix, query.cursor):
        refuse(
            400, "invalid_parameter", "This is no cursor of this list. Leave it out to begin anew.", "cursor"
        )


def read_newest(
    statement: Select[RowT], key: Any, query: PageRequest, prefix: str
) -> tuple[Sequence[RowT], str | None]:
    """Return the rows of a page, newest first, and the cursor of the next page or None."""
    check_cursor(query, prefix)
    place = [query.cursor] if query.cursor else None
    rows, has_more = keyset.read_beyond(db.session(), statement, [key], place, limit=query.limit)
    return rows, getattr(rows[-1], key.key) if has_more else None
