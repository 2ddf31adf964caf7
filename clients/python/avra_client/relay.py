"""The relay: hands over what stands in an outbox, in batches, each row's id being its idempotency key.

A row is claimed and marked as handed over before it is sent, and deleted once the platform has accepted it.
If the relay is killed in between, it or another one hands the row over again under the same key, when the
claim's lease has ended. The platform knows keys for a day at least: a row that may have reached it longer ago
than that is set aside for a person, as sending it again could double it, and dropping it could lose it.
"""

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from avra_client import dbapi, relay_outcomes
from avra_client.claimed_rows import Claim, Outcomes
from avra_client.client import Client, Result, SendError
from avra_client.failing_turns import FailingTurns
from avra_client.outbox_rows import EXPIRED_AT_ONCE, OutboxRows
from avra_client.outbox_schema import TABLE
from avra_client.relay_state import DEFAULT_LIMITS, RelayLimits, RelayState

log = logging.getLogger(__name__)

_HOUR_MS = 3_600_000
# Of rows that are sent alone, as many as may fail one after the other before the platform is held at fault.
_SUSPECTS = 3
# Of a request; a relay waits out failures itself, looking meanwhile whether it shall end.
_TRIES = 4


class HandOverFailed(Exception):
    """The platform did not take what was handed over; `retry_after` is how many seconds it asked for."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Relay:
    """Hands over the rows of one outbox. Any number of relays may work on it side by side."""

    def __init__(
        self,
        connect: Callable[[], dbapi.Connection],
        client: Client,
        *,
        table: str = TABLE,
        limits: RelayLimits = DEFAULT_LIMITS,
    ) -> None:
        """`connect` opens a DB-API connection of the relay's own, as `dbapi.connector(url)` does."""
        self._connect, self._client = connect, client.limited_to(_TRIES)
        self._table, self._limits = dbapi.check_table_name(table), limits
        self._rows: OutboxRows | None = None
        self._connection: dbapi.Connection | None = None
        self._size = limits.batch
        self._expires_at = 0.0
        # Whether the platform has answered since it last did not take something; when it last took a row.
        self._is_answering = False
        self._accepted_at = 0
        self._failing = set[str]()
        self._turns = FailingTurns(limits)
        # Of two turns one at most is of a row that fails, so that however many those are, others go.
        self._is_failings_turn = False
        self.state = RelayState()

    def run(self, stop: threading.Event) -> None:
        """Hand over what there is and what comes, until `stop` is set; failures are waited out."""
        while not stop.is_set():
            pause = self._round(stop)
            if pause:
                stop.wait(pause)
        self.close()

    def run_once(self, *, stop: threading.Event | None = None) -> int:
        """Hand over what is due now, and return how many events the platform accepted.

        Raises HandOverFailed where it did not take them, and the driver's errors of the database.
        """
        accepted, chances = 0, _SUSPECTS
        self._turns.is_one_of_many = True
        self._failing.clear()
        try:
            while not (stop and stop.is_set()):
                try:
                    sent = self._hand_over()
                except HandOverFailed as failure:
                    chances -= 1
                    self._single_out(failure, has_chance=chances >= 0)
                    continue
                if sent is None:
                    break
                accepted += sent
                chances = _SUSPECTS if sent else chances
            if self._failing:
                rows = "1 row is" if len(self._failing) == 1 else f"{len(self._failing)} rows are"
                raise HandOverFailed(f"{rows} not taken, though others are")
            return accepted
        finally:
            self.close()

    def _single_out(self, failure: HandOverFailed, *, has_chance: bool) -> None:
        """Have the next row go alone if the platform answers, so that one row keeps no other back.

        Raises HandOverFailed if it does not.
        """
        if not has_chance or not relay_outcomes.may_be_of_a_row(failure.__cause__):
            raise failure
        try:
            self._client.event_types()
        except SendError as error:
            raise failure from error
        self._is_answering, self._size = True, 1

    def close(self) -> None:
        """Give the database's connection back; the next round opens one."""
        connection, self._connection, self._rows = self._connection, None, None
        if connection is not None:
            with suppress(Exception):  # whatever a driver says of a connection that is gone already
                connection.close()

    @property
    def rows(self) -> OutboxRows:
        """The outbox's rows, on a connection that is opened when it is needed."""
        if self._rows is None:
            self._connection = self._connect()
            seconds = self._limits.database_seconds
            self._rows = OutboxRows(self._connection, self._table, answer_seconds=seconds)
        return self._rows

    def _round(self, stop: threading.Event) -> float:
        """Hand over one batch; return how many seconds to wait before the next."""
        self.state.last_round_at = time.monotonic()
        try:
            if self.state.last_failure:
                self._client.event_types()  # carries nothing, so that no row's fate depends on its answer
                self._is_answering = True
            accepted = self._hand_over()
        except (HandOverFailed, SendError) as error:
            return self._note_failure(error, getattr(error, "retry_after", None))
        except Exception as error:
            # Each driver has error classes of its own; a new connection is tried until one works.
            self.close()
            return self._note_failure(error, None)
        if accepted == 0 and self.state.last_failure:
            return self._limits.poll_seconds  # a row that fails, or is set aside, says nothing of others
        if self.state.last_failure:
            log.info("relay works again")
        self.state.last_failure, self.state.failing_since = "", None
        return self._limits.poll_seconds if accepted is None else 0.0

    def _note_failure(self, error: Exception, retry_after: float | None) -> float:
        """Return how long to wait: longer each time, and as long as the platform asked for."""
        state = self.state
        state.last_failure = f"{type(error).__name__}: {error}".splitlines()[0]
        state.failing_since = state.failing_since or time.monotonic()
        state.totals.failures += 1
        self._size, self._is_answering = 1, False  # what is sent next finds out for all others
        passed = time.monotonic() - state.failing_since
        longest = min(self._limits.longest_pause_seconds, max(self._limits.first_pause_seconds, passed))
        pause = max(longest * random.uniform(0.5, 1), min(retry_after or 0, 300.0))
        is_a_bug = type(error).__module__ == "builtins"
        log.warning(
            "relay cannot hand over, trying again in %.1f s: %s", pause, state.last_failure, exc_info=is_a_bug
        )
        return pause

    def _hand_over(self) -> int | None:
        """Hand over a batch; return how many were accepted, None if none was due. Raises HandOverFailed."""
        now = _now_ms()
        claim = self.rows.claim(
            str(uuid.uuid4()),
            limit=self._size,
            limit_bytes=self._limits.batch_bytes,
            now=now,
            lease=int(self._limits.lease_seconds * 1000),
            forgotten_before=now - int((self._limits.keys_kept_hours - self._limits.margin_hours) * _HOUR_MS),
            failing_first=self._is_failings_turn,
        )
        self._is_failings_turn = bool(claim.rows) and not claim.is_of_failing
        self.state.note_unknown(claim.unknown)
        self._expire_sent()
        if not claim.rows:
            return 0 if claim.unknown else None
        began = time.monotonic()
        outcomes, results = self._send(claim)
        keeps = self._limits.keep_sent_hours > 0
        self.rows.record(claim, outcomes, now=_now_ms(), keeps_sent=keeps)
        self.state.note_outcomes(outcomes, results, time.monotonic() - began)
        self._raise_failure(claim, outcomes, results)
        if not claim.is_of_failing:
            self._size = min(self._limits.batch, self._size * 2)
        return len(outcomes.accepted)

    def _send(self, claim: Claim) -> tuple[Outcomes, Sequence[Result]]:
        events, rejected = relay_outcomes.events(claim.rows)
        if _now_ms() > claim.until - self._limits.lease_seconds * 500:
            # This process stood still since it claimed; others may have these rows by now.
            return Outcomes({}, {}, released=claim.rows), ()
        with self._turns.seconds_to_send(claim) as seconds:
            results = self._client.send_many(events, deadline_seconds=seconds)
        return self._judge(claim, relay_outcomes.outcomes(claim.rows, results, rejected), results), results

    def _judge(self, claim: Claim, outcomes: Outcomes, results: Sequence[Result]) -> Outcomes:
        """Have a row that was sent alone, and may be why that failed, sent later; note what was accepted."""
        self._failing -= outcomes.accepted.keys()
        if outcomes.accepted:
            self._accepted_at = _now_ms()
        if len(claim.rows) != 1 or not outcomes.uncertain:
            return outcomes
        [row], error = claim.rows, results[0].error
        if not relay_outcomes.is_suspected(row, error, platform_answers=self._is_answering):
            return outcomes
        failing = relay_outcomes.fail(
            row, str(error), _now_ms(), self._limits, others_accepted_at=self._accepted_at
        )
        (self._failing.discard if failing.due_at is None else self._failing.add)(row.id)
        return replace(outcomes, uncertain=(), failing={row.id: failing})

    def _raise_failure(self, claim: Claim, outcomes: Outcomes, results: Sequence[Result]) -> None:
        """Raise HandOverFailed for what was not taken, but not for a row that is known to fail by itself."""
        failed = (each.error for each in results if each.error and not relay_outcomes.is_own_fault(each))
        error = next(failed, None)
        if error is None or (outcomes.failing and claim.is_of_failing):
            return
        raise HandOverFailed(str(error), getattr(error, "retry_after", None)) from error

    def _expire_sent(self) -> None:
        if self._limits.keep_sent_hours > 0 and time.monotonic() >= self._expires_at:
            before = _now_ms() - int(self._limits.keep_sent_hours * _HOUR_MS)
            is_all = self.rows.expire_sent(before=before) < EXPIRED_AT_ONCE
            self._expires_at = time.monotonic() + (60 if is_all else 0)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
