"""How long the database may keep anybody waiting. Handed in, so that a test can wait for less."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class DatabaseLimits:
    """How long a connection waits, in seconds; None is for ever. The defaults are the web's.

    `lock_seconds`: for SQLite's one lock, or PostgreSQL's on a table or a row; past it the caller gets 503 or
    tries again. `short_lock_seconds`: for SQLite's lock, where the caller has something else to do meanwhile
    and tries again. The rest is PostgreSQL's:

    `pool_seconds`: for one of the pool's connections to come free. `connect_seconds`: for a connection to one
    address; psycopg takes no less than 2. `reach_seconds`: for all of a host's addresses, and for its name to
    be looked up. `peer_silence_seconds`: for the database's host to acknowledge what was sent to it; after
    that long it counts as gone. `statement_seconds`: for one statement, by the server's clock.
    `answer_seconds`: for its answer, by ours, should the server itself or a pooler hang. `rollback_seconds`:
    for a transaction to end that is rolled back; a connection where it takes longer is closed.
    `idle_transaction_seconds`: how long the server keeps a transaction whose client says nothing or takes
    nothing, as its host may be gone. `idle_check_seconds`: a connection that was idle for longer is
    asked whether it still works, as PostgreSQL may have been restarted.

    `reads_whole_tables`: whether a statement may be planned to read a table from end to end. A plan is kept
    for as long as a connection is, and may be made while the table is empty.

    `most_waiting`: how many of a process's threads may wait while the database answers none; None for all.
    `request_seconds`: for all of a request that waits for either database, from when the request is there.
    """

    lock_seconds: float = 3.5
    short_lock_seconds: float = 0.5
    pool_seconds: float = 2.0
    connect_seconds: int = 2
    reach_seconds: float = 4.0
    peer_silence_seconds: int = 3
    statement_seconds: float | None = 4.0
    answer_seconds: float | None = 4.5
    rollback_seconds: float = 0.5
    idle_transaction_seconds: float | None = 15.0
    idle_check_seconds: float = 1.0
    reads_whole_tables: bool = False
    most_waiting: int | None = None
    request_seconds: float | None = 4.5


DEFAULT_LIMITS = DatabaseLimits()
# For what somebody starts in a shell and waits for, such as a migration that builds an index.
COMMAND_LIMITS = replace(
    DEFAULT_LIMITS,
    statement_seconds=None,
    answer_seconds=None,
    idle_transaction_seconds=None,
    reads_whole_tables=True,
    request_seconds=None,
)


def lone_limits(lock_seconds: float | None) -> DatabaseLimits:
    """Return the limits of a connection for single statements that may take any time, such as index builds.

    `lock_seconds`: how long one waits for others' locks and transactions. Behind a pooler, which keeps no
    setting for it, the answer is not waited for much longer than that.
    """
    if lock_seconds is None:
        return replace(COMMAND_LIMITS, lock_seconds=0.0)  # to PostgreSQL, no limit
    return replace(COMMAND_LIMITS, lock_seconds=lock_seconds, answer_seconds=3 * lock_seconds + 30)


def web_limits(threads: int) -> DatabaseLimits:
    """Return the limits of a web process: a quarter of its threads are left for what needs no database."""
    return replace(DEFAULT_LIMITS, most_waiting=max(1, threads - max(1, threads // 4)))


def worker_limits(lease_seconds: float) -> DatabaseLimits:
    """Return the limits of a worker process, which may take longer for its batches.

    The rows that it holds when its host is gone are free before its claims are, and so within a lease and a
    half whatever it was at.
    """
    return replace(
        DEFAULT_LIMITS,
        statement_seconds=30.0,
        answer_seconds=35.0,
        idle_transaction_seconds=min(15.0, lease_seconds / 2),
    )


@dataclass(frozen=True, slots=True)
class MigrationLimits:
    """How long a migration waits for a table's lock on PostgreSQL, and how often it tries.

    Everybody else waits behind a migration that waits, so it gives up before they do, lets them pass, and
    tries again. PostgreSQL ends an autovacuum that is in its way, but only once the migration has waited for
    the server's `deadlock_timeout`. So where a vacuum is at work, every second try takes
    `past_deadlock_seconds` longer than that, unless it would be more than `longest_lock_seconds`, which is
    less than others wait for a lock.
    """

    lock_seconds: float = 0.8
    past_deadlock_seconds: float = 0.3
    longest_lock_seconds: float = 3.0
    pause_seconds: float = 1.0
    attempts: int = 100

    def seconds_past(self, deadlock_seconds: float) -> float:
        """Return how long to wait where a vacuum may be in the way, for this `deadlock_timeout`."""
        seconds = deadlock_seconds + self.past_deadlock_seconds
        is_bearable = self.lock_seconds < seconds <= self.longest_lock_seconds
        return seconds if is_bearable else self.lock_seconds
