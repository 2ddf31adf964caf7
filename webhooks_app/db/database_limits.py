"""How long the database may keep anybody waiting. Handed in, so that a test can wait for less."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DatabaseLimits:
    """How long a connection waits, in seconds.

    `lock_seconds`: for SQLite's one lock, or PostgreSQL's on a table or a row; past it the caller gets 503 or
    tries again. `short_lock_seconds`: for SQLite's lock, where the caller has something else to do meanwhile
    and tries again. `connect_seconds`, `pool_seconds`: for PostgreSQL to accept a connection, and for one of
    the pool's to come free. `idle_check_seconds`: a connection that was idle for longer is asked whether it
    still works, as PostgreSQL may have been restarted.
    """

    lock_seconds: float = 5.0
    short_lock_seconds: float = 0.5
    connect_seconds: int = 5
    pool_seconds: float = 5.0
    idle_check_seconds: float = 1.0


DEFAULT_LIMITS = DatabaseLimits()


@dataclass(frozen=True, slots=True)
class MigrationLimits:
    """How long a migration waits for a table's lock on PostgreSQL, and how often it tries.

    Everybody else waits behind a migration that waits, so it gives up well before they do, lets them pass,
    and tries again.
    """

    lock_seconds: float = 2.0
    pause_seconds: float = 1.0
    attempts: int = 60
