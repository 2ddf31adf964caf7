"""The file of an SQLite database; what is about files alone has nothing to do on PostgreSQL."""

from pathlib import Path

from sqlalchemy import URL, make_url


def path(database_url: str | URL) -> Path | None:
    """Return where the file is; None for PostgreSQL, and for a database in memory."""
    url = make_url(database_url)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
