"""How an outbox stands: what is read of its rows, and changes none."""

from avra_client.outbox_table import OutboxTable

# A relay does not count a backlog any further.
COUNTED_AT_MOST = 10_000


class OutboxState(OutboxTable):
    """What can be asked about the rows, each in a short transaction of its own."""

    def backlog(self) -> tuple[int, int | None, int]:
        """Return how many rows are pending, when the oldest was written, and how many are failing.

        The oldest 10,000 are counted.
        """
        pending = f"FROM {self._table} WHERE state = 'pending' ORDER BY id LIMIT"
        with self._transaction(writes=False):
            limited = f"SELECT error {pending} {COUNTED_AT_MOST}"
            [(count, failing)] = self._all(f"SELECT COUNT(*), COUNT(error) FROM ({limited}) AS counted", {})
            oldest = self._all(f"SELECT created_at {pending} 1", {})
        return int(count), oldest[0][0] if oldest else None, int(failing)

    def counts(self) -> dict[str, int]:
        """Return how many rows are in each state."""
        with self._transaction(writes=False):
            found = self._all(f"SELECT state, COUNT(*) FROM {self._table} GROUP BY state", {})
        return {state: int(count) for state, count in found}

    def claimed(self, now: int) -> tuple[int, int] | None:
        """Return how many pending rows relays have claimed, and in how many seconds the last claim ends.

        None where there are none. After a relay was killed, no other takes its rows before that.
        """
        claimed = "WHERE state = 'pending' AND claimed_by IS NOT NULL AND due_at > {now}"
        with self._transaction(writes=False):
            found = self._all(f"SELECT COUNT(*), MAX(due_at) FROM {self._table} {claimed}", {"now": now})
        [(count, until)] = found
        return (int(count), -(-(int(until) - now) // 1000)) if count else None

    def set_aside(self, limit: int = 100) -> list[tuple[str, str, str, str]]:
        """Return rows that wait for a person, oldest first: id, state, type and reason."""
        where = f"FROM {self._table} WHERE state IN ('rejected', 'unknown')"
        with self._transaction(writes=False):
            found = self._all(f"SELECT id, state, type, error {where} ORDER BY id LIMIT {limit}", {})
        return [(each[0], each[1], each[2], each[3] or "") for each in found]

    def failing(self, limit: int = 100) -> list[tuple[str, str, str, str]]:
        """Return pending rows that are not taken while others are, as `set_aside` does; the state is ours."""
        where = f"FROM {self._table} WHERE state = 'pending' AND error IS NOT NULL"
        with self._transaction(writes=False):
            found = self._all(f"SELECT id, type, error {where} ORDER BY id LIMIT {limit}", {})
        return [(each[0], "failing", each[1], each[2]) for each in found]
