"""What a relay does to the outbox's rows, each in a short transaction of its own.

A row is claimed by pushing its `due_at` one lease ahead and committing that, so that no transaction is open
while the platform is spoken to, and what a dead relay had claimed is free again when the lease ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from avra_client import dbapi
from avra_client.outbox_schema import LONGEST_ERROR, TABLE

# Placeholders of one statement: every driver and database takes as many.
_AT_ONCE = 400
# A relay does not count a backlog any further.
COUNTED_AT_MOST = 10_000

_LOCK = {"sqlite": "", "postgresql": " FOR UPDATE SKIP LOCKED", "mysql": " FOR UPDATE SKIP LOCKED"}
_BYTES = {"sqlite": "length(CAST(data AS BLOB))", "postgresql": "octet_length(data)", "mysql": "length(data)"}
_FORGOTTEN = (
    "Handed over without an answer, too long ago for the platform to know its key still: "
    "whether it was accepted cannot be told. Look there, then retry or discard it."
)


@dataclass(frozen=True, slots=True)
class Row:
    """A claimed row; `was_handed_over` tells that it may have reached the platform before."""

    id: str
    type: str
    data: str
    was_handed_over: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Rows that are this relay's until `until`, in milliseconds; how many were set aside as unknown."""

    token: str
    rows: Sequence[Row]
    until: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of claimed rows: event ids and reasons by row id; those that were not taken now.

    `released` certainly were not accepted; of `uncertain` ones that is not known.
    """

    accepted: Mapping[str, str]
    rejected: Mapping[str, str]
    released: Sequence[Row] = ()
    uncertain: Sequence[Row] = ()


class OutboxRows:
    """The rows of an outbox's table, on one connection."""

    def __init__(self, connection: dbapi.Connection, table: str = TABLE) -> None:
        self._connection, self._table = connection, dbapi.check_table_name(table)
        self._style, self._dialect = dbapi.paramstyle_of(connection), dbapi.dialect_of(connection)

    def close(self) -> None:
        self._connection.close()

    def claim(
        self,
        token: str,
        *,
        limit: int,
        limit_bytes: int,
        now: int,
        lease: int,
        forgotten_before: int,
    ) -> Claim:
        """Claim up to `limit` rows, oldest first, with `limit_bytes` of data at most but at least one row.

        Moments and durations are milliseconds. What may have reached the platform before
        `forgotten_before` is set aside as unknown instead.
        """
        if self._dialect == "sqlite" and not self._has_due(now):
            return Claim(token, (), now + lease, 0)  # without having taken the one lock for writing
        with self._transaction():
            found = self._all(
                f"SELECT id, handed_over_at, {_BYTES[self._dialect]} FROM {self._table}"
                " WHERE state = 'pending' AND due_at <= {now} ORDER BY id LIMIT {limit}"
                + _LOCK[self._dialect],
                {"now": now, "limit": limit},
            )
            old = [each[0] for each in found if each[1] is not None and each[1] < forgotten_before]
            self._set_aside(dict.fromkeys(old, _FORGOTTEN), "unknown", now)
            chosen = _within([each for each in found if each[0] not in set(old)], limit_bytes)
            self._update(
                "claimed_by = {token}, due_at = {until}, handed_over_at = COALESCE(handed_over_at, {now})",
                {"token": token, "until": now + lease, "now": now},
                list(chosen),
            )
            rows = [Row(*each, chosen[each[0]]) for each in self._data(list(chosen))]
        return Claim(token, sorted(rows, key=lambda row: row.id), now + lease, len(old))

    def settle(self, claim: Claim, outcomes: Outcomes, *, now: int, keeps_sent: bool) -> None:
        """Record what came of a claim; what another relay claimed meanwhile is its own to record."""
        with self._transaction():
            for row_id, event_id in outcomes.accepted.items() if keeps_sent else ():
                values = {"event": event_id, "now": now}
                self._update("state = 'sent', event_id = {event}, settled_at = {now}", values, [row_id])
            if not keeps_sent:
                self._delete(list(outcomes.accepted))
            self._set_aside(outcomes.rejected, "rejected", now, claim.token)
            fresh = [row.id for row in outcomes.released if not row.was_handed_over]
            others = [row.id for row in (*outcomes.released, *outcomes.uncertain) if row.id not in set(fresh)]
            is_ours = " AND claimed_by = {token}"
            free = "claimed_by = NULL, due_at = 0"
            self._update(f"{free}, handed_over_at = NULL", {"token": claim.token}, fresh, is_ours)
            self._update(free, {"token": claim.token}, others, is_ours)

    def backlog(self) -> tuple[int, int | None]:
        """Return how many rows are pending, 10,000 at most, and when the oldest was written."""
        pending = f"FROM {self._table} WHERE state = 'pending'"
        with self._transaction(writes=False):
            limited = f"SELECT 1 AS one {pending} LIMIT {COUNTED_AT_MOST}"
            [(count,)] = self._all(f"SELECT COUNT(*) FROM ({limited}) AS counted", {})
            oldest = self._all(f"SELECT created_at {pending} ORDER BY id LIMIT 1", {})
        return int(count), oldest[0][0] if oldest else None

    def counts(self) -> dict[str, int]:
        """Return how many rows are in each state."""
        with self._transaction(writes=False):
            found = self._all(f"SELECT state, COUNT(*) FROM {self._table} GROUP BY state", {})
        return {state: int(count) for state, count in found}

    def set_aside(self, limit: int = 100) -> list[tuple[str, str, str, str]]:
        """Return rows that wait for a person, oldest first: id, state, type and reason."""
        where = f"FROM {self._table} WHERE state IN ('rejected', 'unknown')"
        with self._transaction(writes=False):
            found = self._all(f"SELECT id, state, type, error {where} ORDER BY id LIMIT {limit}", {})
        return [(each[0], each[1], each[2], each[3] or "") for each in found]

    def retry(self, row_ids: Sequence[str] | None = None) -> int:
        """Make rows that were set aside pending again, all of them without `row_ids`; return how many."""
        again = "state = 'pending', due_at = 0, claimed_by = NULL, handed_over_at = NULL, error = NULL"
        with self._transaction():
            return self._change_set_aside(f"UPDATE {self._table} SET {again}", row_ids)

    def discard(self, row_ids: Sequence[str] | None = None) -> int:
        """Delete rows that were set aside, all of them without `row_ids`; return how many."""
        with self._transaction():
            return self._change_set_aside(f"DELETE FROM {self._table}", row_ids)

    def resend(self, *, since: int) -> int:
        """Make rows pending again that were sent since, under the same keys; return how many."""
        again = "state = 'pending', due_at = 0, claimed_by = NULL"
        with self._transaction():
            where = "WHERE state = 'sent' AND settled_at >= {since}"
            return self._run(f"UPDATE {self._table} SET {again} {where}", {"since": since})

    def expire_sent(self, *, before: int) -> int:
        """Delete rows that were sent before; return how many."""
        with self._transaction():
            where = "WHERE state = 'sent' AND settled_at < {before}"
            return self._run(f"DELETE FROM {self._table} {where}", {"before": before})

    def _has_due(self, now: int) -> bool:
        due = f"SELECT 1 FROM {self._table} WHERE state = 'pending' AND due_at <= {{now}} LIMIT 1"
        with self._transaction(writes=False):
            return bool(self._all(due, {"now": now}))

    def _set_aside(self, reasons: Mapping[str, str], state: str, now: int, token: str | None = None) -> None:
        for row_id, reason in reasons.items():
            values: dict[str, Any] = {"state": state, "error": reason[:LONGEST_ERROR], "now": now}
            is_ours = "" if token is None else " AND claimed_by = {token}"
            values |= {} if token is None else {"token": token}
            self._update("state = {state}, error = {error}, settled_at = {now}", values, [row_id], is_ours)

    def _data(self, row_ids: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        for names, ids in _pieces(row_ids):
            places = ", ".join(f"{{{name}}}" for name in names)
            found = self._all(f"SELECT id, type, data FROM {self._table} WHERE id IN ({places})", ids)
            yield from ((each[0], each[1], each[2]) for each in found)

    def _update(
        self, change: str, values: dict[str, Any], row_ids: Sequence[str], condition: str = ""
    ) -> None:
        for names, ids in _pieces(row_ids):
            places = ", ".join(f"{{{name}}}" for name in names)
            # In the order of the statement, as some drivers take values by their places.
            ours = {name: values[name] for name in values if name == "token" and condition}
            others = {name: value for name, value in values.items() if name not in ours}
            self._run(
                f"UPDATE {self._table} SET {change} WHERE id IN ({places}){condition}", others | ids | ours
            )

    def _delete(self, row_ids: Sequence[str]) -> None:
        for names, ids in _pieces(row_ids):
            places = ", ".join(f"{{{name}}}" for name in names)
            self._run(f"DELETE FROM {self._table} WHERE id IN ({places})", ids)

    def _change_set_aside(self, statement: str, row_ids: Sequence[str] | None) -> int:
        where = " WHERE state IN ('rejected', 'unknown')"
        if row_ids is None:
            return self._run(statement + where, {})
        return sum(
            self._run(f"{statement}{where} AND id IN ({', '.join(f'{{{name}}}' for name in names)})", ids)
            for names, ids in _pieces(row_ids)
        )

    @contextmanager
    def _transaction(self, *, writes: bool = True) -> Iterator[None]:
        try:
            if self._dialect == "sqlite":  # a reader that turns writer may be refused
                self._connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            yield
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise

    def _all(self, statement: str, values: dict[str, Any]) -> Sequence[Any]:
        cursor = self._connection.cursor()
        self._execute(cursor, statement, values)
        found: Sequence[Any] = cursor.fetchall()
        cursor.close()
        return found

    def _run(self, statement: str, values: dict[str, Any]) -> int:
        cursor = self._connection.cursor()
        self._execute(cursor, statement, values)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def _execute(self, cursor: Any, statement: str, values: dict[str, Any]) -> None:
        with_places = dbapi.with_placeholders(statement, list(values), self._style)
        cursor.execute(with_places, dbapi.parameters(values, self._style))


def _within(found: Sequence[Any], limit_bytes: int) -> dict[str, bool]:
    """Return the ids of the first rows that have so many bytes together, and whether each was handed over."""
    chosen: dict[str, bool] = {}
    for row_id, handed_over_at, size in found:
        limit_bytes -= size
        if chosen and limit_bytes < 0:
            break
        chosen[row_id] = handed_over_at is not None
    return chosen


def _pieces(row_ids: Sequence[str]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield the ids, under names for their placeholders, in as many pieces as statements take."""
    for start in range(0, len(row_ids), _AT_ONCE):
        named = {f"id{at}": row_id for at, row_id in enumerate(row_ids[start : start + _AT_ONCE])}
        yield list(named), named
