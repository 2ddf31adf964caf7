"""Short transactions, one after the other, for what retention deletes and erases."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select

from webhooks_app.db import keyset_walk
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Endpoint
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.deliveries import deliveries_of_events


@dataclass(slots=True, frozen=True)
class RetentionLimits:
    """How much one transaction deletes or erases.

    It is to hold the write lock for about `batch_seconds`, as an event that is being accepted waits for it;
    so batches, which begin at `first_batch` rows, grow to `largest_batch` or shrink with the time they take.
    What hangs on an endpoint may be many rows, so `endpoints_per_batch` is smaller. `chunk_rows`: how many
    deliveries of some events are read at a time. `wal_seconds`: how long readers are waited for, at the end,
    before SQLite's write-ahead log is left as it is.
    """

    batch_seconds: float = 0.05
    first_batch: int = 100
    largest_batch: int = 1000
    endpoints_per_batch: int = 50
    chunk_rows: int = deliveries_of_events.CHUNK_ROWS
    wal_seconds: float = 1.0


DEFAULT_LIMITS = RetentionLimits()


class BatchRunner:
    """Reads and writes in short transactions, whose size follows the time that they take."""

    def __init__(
        self, databases: Databases, should_stop: Callable[[], bool], limits: RetentionLimits = DEFAULT_LIMITS
    ) -> None:
        self._databases = databases
        self._should_stop = should_stop
        self._limits = limits
        self.size = limits.first_batch
        self.changed = 0  # rows, by all transactions so far

    @property
    def databases(self) -> Databases:
        return self._databases

    @property
    def should_stop(self) -> bool:
        return self._should_stop()

    def read(
        self, statement: Select[*tuple[Any, ...]], key: Any, *, by_moments: bool = False
    ) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
        """Yield all rows of the statement, as `keyset_walk.walk` does, until it is told to stop."""
        walk = keyset_walk.walk(
            self._databases.read, statement, key, batch_rows=lambda: self.size, by_moments=by_moments
        )
        batches = iter(walk)
        # Asked before each read: one that is told to stop at its beginning reads nothing.
        while not self._should_stop() and (batch := next(batches, None)) is not None:
            yield batch

    def deliveries_of(self, event_ids: Sequence[str]) -> Iterator[list[str]]:
        """Yield the ids of the events' deliveries in chunks, until it is told to stop."""
        database, chunk_rows = self._databases.read, self._limits.chunk_rows
        for chunk in deliveries_of_events.walk(database, event_ids, chunk_rows=chunk_rows):
            if self._should_stop():
                return
            yield chunk

    def apply(self, act_on: Callable[[WriteConnection, Sequence[str]], int], named: Sequence[str]) -> int:
        """Call `act_on` in a transaction, with the ids; return what it returns, how many it was done to."""
        if not named:
            return 0
        started = time.monotonic()
        with self._databases.write.begin() as connection:
            count = act_on(connection, named)
        self.changed += count
        seconds = time.monotonic() - started
        if seconds > self._limits.batch_seconds:
            self.size = max(1, self.size // 2)
        elif seconds < self._limits.batch_seconds / 2:
            self.size = min(self._limits.largest_batch, self.size * 2)
        time.sleep(seconds)  # lets those go first who waited for the lock
        return count

    def apply_in_pieces(
        self, act_on: Callable[[WriteConnection, Sequence[str]], int], named: Sequence[str]
    ) -> int:
        """Do as `apply` does, in one transaction after the other, until it is told to stop."""
        count = done = 0
        while done < len(named) and not self._should_stop():
            piece = named[done : done + self.size]
            count += self.apply(act_on, piece)
            done += len(piece)
        return count

    def delete_by_endpoint(
        self,
        endpoint_ids: Select[*tuple[Any, ...]],
        act_on: Callable[[WriteConnection, Sequence[str]], int],
    ) -> int:
        """Do as `apply` does, for the endpoints that the statement selects, a few in each transaction."""
        count, size = 0, self._limits.endpoints_per_batch
        for batch in self.read(endpoint_ids, Endpoint.id):
            named = [row.id for row in batch]
            for start in range(0, len(named), size):
                count += self.apply(act_on, named[start : start + size])
        return count
