"""How much room is left for the file of an SQLite database; PostgreSQL's disk is its own machine's."""

import shutil

from sqlalchemy import Connection

from webhooks_app.db import database_file, free_pages

# Nothing can be relied on any more: one batch of events and its deliveries take as much.
FULL_BYTES = 4 * 1024 * 1024
# Time enough for a person to make room: some hundred thousand events.
SCARCE_BYTES = 64 * 1024 * 1024


def bytes_left(database_url: str) -> int | None:
    """Return how many bytes can still be written beside the database's file; None where that is unknown."""
    file = database_file.path(database_url)
    if file is None:
        return None
    try:
        return shutil.disk_usage(file.parent).free
    except OSError:
        return None


def advice(connection: Connection) -> str | None:
    """Return a sentence on an SQLite database whose file never becomes smaller."""
    use = free_pages.read_use(connection)
    if use is None or use.is_incremental:
        return None
    free = use.free * use.page_bytes // 1024**2
    return (
        f"Its file never shrinks; {free} MB of it are free. Stop everything and run `avra vacuum`, which "
        "rewrites it; from then on the disk gets back what retention deletes."
    )


def is_full(database_url: str) -> bool:
    left = bytes_left(database_url)
    return left is not None and left < FULL_BYTES


def low_space_problem(database_url: str) -> str | None:
    """Return a sentence on a disk that is full or nearly so."""
    left = bytes_left(database_url)
    if left is None or left >= SCARCE_BYTES:
        return None
    if left < FULL_BYTES:
        return "The disk that holds the database is full. Events are refused until there is room on it."
    return (
        f"The disk that holds the database has {left // 1024**2} MB left. "
        "Once it is full, events are refused: make room on it."
    )
