"""What a relay does to the outbox's rows, each in a short transaction of its own.

A row is claimed by pushing its `due_at` one lease ahead and committing that, so that no transaction is open
while the platform is spoken to, and what a dead relay had claimed is free again when the lease ends.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from avra_client.claimed_rows import Claim, Failing, OutboxRow, Outcomes
from avra_client.outbox_schema import LONGEST_ERROR
from avra_client.outbox_state import COUNTED_AT_MOST, OutboxState
from avra_client.outbox_table import past_deadlocks, pieces

# What one transaction of `expire_sent` looks at, and what all of one call delete.
_AT_ONCE = 400
EXPIRED_AT_ONCE = 4000
# Rows that fail, of which one is claimed: other relays look at the same moment.
_CANDIDATES = 20

_LOCK = {"sqlite": "", "postgresql": " FOR UPDATE SKIP LOCKED", "mysql": " FOR UPDATE SKIP LOCKED"}
_BYTES = {"sqlite": "length(CAST(data AS BLOB))", "postgresql": "octet_length(data)", "mysql": "length(data)"}
_FORGOTTEN = (
    "Handed over without an answer, too long ago for the platform to know its key still: "
    "whether it was accepted cannot be told. Look there, then retry or discard it."
)


class OutboxRows(OutboxState):
    """The rows of an outbox's table, on one connection."""

    def claim(
        self,
        token: str,
        *,
        limit: int,
        limit_bytes: int,
        now: int,
        lease: int,
        forgotten_before: int,
        failing_first: bool = False,
    ) -> Claim:
        """Claim up to `limit` rows, oldest first, with `limit_bytes` of data at most but at least one row.

        Of rows that are failing it claims one alone, so that it fails no others: where nothing else is due,
        or with `failing_first`. Moments and durations are milliseconds.
        What may have reached the platform before `forgotten_before` is set aside as unknown instead.
        """
        if self._dialect == "sqlite" and not self._has_due(now):
            return Claim(token, (), now + lease, 0)  # without having taken the one lock for writing
        with self._transaction():
            first = self._failing_due(now) if failing_first else ()
            found = first or self._healthy_due(now, limit) or self._failing_due(now)
            old = [each[0] for each in found if each[1] is not None and each[1] < forgotten_before]
            self._set_aside(dict.fromkeys(old, _FORGOTTEN), "unknown", now)
            chosen = _within((each for each in found if each[0] not in set(old)), limit_bytes)
            self._update(
                "claimed_by = {token}, due_at = {until}, handed_over_at = COALESCE(handed_over_at, {now})",
                {"token": token, "until": now + lease, "now": now},
                list(chosen),
            )
            rows = [OutboxRow(*each, *chosen[each[0]]) for each in self._data(list(chosen))]
        return Claim(token, sorted(rows, key=lambda row: row.id), now + lease, len(old))

    def record(self, claim: Claim, outcomes: Outcomes, *, now: int, keeps_sent: bool) -> None:
        """Record what came of a claim; what another relay claimed meanwhile is its own to record.

        What is lost here is sent again when the lease ends, so that a deadlock is worth another try.
        """
        past_deadlocks(lambda: self._record(claim, outcomes, now=now, keeps_sent=keeps_sent))

    def _record(self, claim: Claim, outcomes: Outcomes, *, now: int, keeps_sent: bool) -> None:
        with self._transaction():
            for row_id, event_id in outcomes.accepted.items() if keeps_sent else ():
                values = {"event": event_id, "now": now}
                sent = "state = 'sent', error = NULL, event_id = {event}, settled_at = {now}"
                self._update(sent, values, [row_id])
            if not keeps_sent:
                self._delete(list(outcomes.accepted))
            self._set_aside(outcomes.rejected, "rejected", now, claim.token)
            for row_id, failing in outcomes.failing.items():
                self._postpone(row_id, failing, now, claim.token)
            fresh = [row.id for row in outcomes.released if not row.was_handed_over]
            others = [row.id for row in (*outcomes.released, *outcomes.uncertain) if row.id not in set(fresh)]
            is_ours = " AND claimed_by = {token}"
            free = "claimed_by = NULL, due_at = 0"
            self._update(f"{free}, handed_over_at = NULL", {"token": claim.token}, fresh, is_ours)
            self._update(free, {"token": claim.token}, others, is_ours)

    def retry(self, row_ids: Sequence[str] | None = None) -> int:
        """Make rows that were set aside pending again, all of them without `row_ids`; return how many."""
        again = (
            "state = 'pending', due_at = 0, claimed_by = NULL,"
            " handed_over_at = NULL, settled_at = NULL, error = NULL"
        )
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

    def expire_sent(self, *, before: int, most: int = EXPIRED_AT_ONCE) -> int:
        """Delete up to `most` rows that were sent before; return how many.

        Of rows that stay it reads those alone that were written before and sent since: ids grow with time.
        """
        count, after, size = 0, "", min(most, _AT_ONCE)
        while count < most:
            with self._transaction():
                found = self._all(
                    f"SELECT id, settled_at, created_at FROM {self._table} WHERE state = 'sent'"
                    " AND id > {after} ORDER BY id LIMIT {size}",
                    {"after": after, "size": size},
                )
                old = [each[0] for each in found if each[1] < before][: most - count]
                self._delete(old)
            count += len(old)
            if len(found) < size or found[-1][2] >= before:
                break
            after = found[-1][0]
        return count

    def _has_due(self, now: int) -> bool:
        due = f"SELECT 1 FROM {self._table} WHERE state = 'pending' AND due_at <= {{now}} LIMIT 1"
        with self._transaction(writes=False):
            return bool(self._all(due, {"now": now}))

    def _healthy_due(self, now: int, limit: int) -> Sequence[Any]:
        return self._locked("due_at <= {now} AND error IS NULL", {"now": now}, limit)

    def _failing_due(self, now: int) -> Sequence[Any]:
        """Return one row, of the oldest 10,000: what fails was tried, and so is older than a backlog."""
        oldest = (
            f"SELECT id, due_at, error FROM {self._table} WHERE state = 'pending'"
            f" ORDER BY id LIMIT {COUNTED_AT_MOST}"
        )
        # Without locks, which MySQL keeps of all that it looks at. Several, as other relays look, too.
        found = self._all(
            f"SELECT id FROM ({oldest}) AS oldest WHERE error IS NOT NULL AND due_at <= {{now}}"
            f" ORDER BY due_at LIMIT {_CANDIDATES}",
            {"now": now},
        )
        if not found:
            return found
        [(places, ids)] = pieces([row[0] for row in found])
        return self._locked(f"id IN ({places}) AND due_at <= {{now}}", ids | {"now": now}, 1)

    def _locked(self, condition: str, values: dict[str, Any], limit: int) -> Sequence[Any]:
        return self._all(
            f"SELECT id, handed_over_at, {_BYTES[self._dialect]},"
            f" CASE WHEN error IS NULL THEN NULL ELSE settled_at END FROM {self._table}"
            f" WHERE state = 'pending' AND {condition} ORDER BY id LIMIT {limit}" + _LOCK[self._dialect],
            values,
        )

    def _set_aside(self, reasons: Mapping[str, str], state: str, now: int, token: str | None = None) -> None:
        for row_id, reason in reasons.items():
            values: dict[str, Any] = {"state": state, "error": reason[:LONGEST_ERROR], "now": now}
            is_ours = "" if token is None else " AND claimed_by = {token}"
            values |= {} if token is None else {"token": token}
            self._update("state = {state}, error = {error}, settled_at = {now}", values, [row_id], is_ours)

    def _postpone(self, row_id: str, failing: Failing, now: int, token: str) -> None:
        if failing.due_at is None:
            self._set_aside({row_id: failing.reason}, "unknown", now, token)
            return
        values = {"due": failing.due_at, "error": failing.reason[:LONGEST_ERROR], "since": failing.since}
        change = "claimed_by = NULL, due_at = {due}, error = {error}, settled_at = {since}"
        self._update(change, {**values, "token": token}, [row_id], " AND claimed_by = {token}")

    def _data(self, row_ids: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        for places, ids in pieces(row_ids):
            found = self._all(f"SELECT id, type, data FROM {self._table} WHERE id IN ({places})", ids)
            yield from ((each[0], each[1], each[2]) for each in found)

    def _change_set_aside(self, statement: str, row_ids: Sequence[str] | None) -> int:
        where = " WHERE state IN ('rejected', 'unknown')"
        if row_ids is None:
            return self._run(statement + where, {})
        return sum(
            self._run(f"{statement}{where} AND id IN ({places})", ids) for places, ids in pieces(row_ids)
        )


def _within(found: Iterable[Any], limit_bytes: int) -> dict[str, tuple[bool, int | None]]:
    """Return the ids of the first rows that have so many bytes together.

    With each: whether it was handed over, and since when it fails.
    """
    chosen: dict[str, tuple[bool, int | None]] = {}
    for row_id, handed_over_at, size, failing_since in found:
        limit_bytes -= size
        if chosen and limit_bytes < 0:
            break
        chosen[row_id] = handed_over_at is not None, failing_since
    return chosen
