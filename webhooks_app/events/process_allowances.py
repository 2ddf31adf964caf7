"""Rate limits of API tokens, in events: what one process lets through.

A process takes a token's allowance from the database in slices, so that an event costs a comparison and not a
statement. What it has taken counts as used for all others, so together they never let through more than the
limit; what a process holds and does not use is at most a slice.
"""

import logging
import time
from dataclasses import dataclass

from webhooks_app.accounts.api_tokens import LiveToken
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db import transient_errors
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.events import shared_allowances

log = logging.getLogger(__name__)

# A slice is what comes back in a tenth of a second, or a tenth of what was left, and at most a tenth of the
# burst: some ten short transactions a second for a token at its limit, however many events that are, and as
# many for one that sends far more. A burst of less than a fifth of a second takes more, as it fills so soon.
_SLICES_PER_SECOND = 10
# A token whose burst is back within a moment gets no more than a burst in each of these.
_SHORTEST_PAUSE_SECONDS = 0.01
# The moment of the last refusal is for people; writing it each time would cost a transaction each.
_REFUSED_PRECISION_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a token has left of its limit, as its producer is told."""

    limit: RateLimit
    left: int
    # In so many seconds there is more: all of it or, for whoever was refused, enough.
    seconds: int


class RateLimited(Exception):
    """A token has sent more than its limit lets through; nothing of the request was accepted."""

    def __init__(self, allowance: Allowance) -> None:
        super().__init__(allowance)
        self.allowance = allowance


class LargerThanBurst(Exception):
    """A batch holds more than its token may ever send at once."""

    def __init__(self, limit: RateLimit, count: int) -> None:
        super().__init__(limit, count)
        self.limit, self.count = limit, count


@dataclass(slots=True)
class _Bucket:
    """One token's allowance as this process knows it.

    `in_hand` was taken and is not used yet; `left` was in the database at `asked_at`, on the monotonic clock.
    """

    limit: RateLimit
    in_hand: int = 0
    left: float = 0.0
    asked_at: float = -1e9
    refused_at: float = -1e9

    def at_most(self) -> float:
        """Return what may be had now, the database included, if no other process takes of it."""
        since = time.monotonic() - self.asked_at
        return self.in_hand + min(self.limit.burst, self.left + since * self.limit.per_second)

    def may_ask(self, count: int) -> bool:
        """Return whether to ask the database for what `count` events lack.

        Ask at once for what it had left. For what has come back since, ask ten times a second; where the
        bucket fills faster, twice while it fills, as a full one gains nothing more; and never more than a
        hundred times a second. So a token that sends a thousand times what it may costs no more transactions
        than one at its limit.
        """
        if count <= self.in_hand + self.left:
            return True
        refill_seconds = self.limit.burst / self.limit.per_second
        pause = max(_SHORTEST_PAUSE_SECONDS, min(1 / _SLICES_PER_SECOND, refill_seconds / 2))
        is_early = time.monotonic() - self.asked_at < pause
        return not is_early and count <= self.at_most()


class ProcessAllowances:
    """One per process, used by the thread that commits; `allowance_of` by any."""

    def __init__(self, database: WriteDatabase, default: RateLimit | None = None) -> None:
        """`default` holds for tokens that have no limit of their own."""
        self._database = database
        self._default = default
        self._buckets: dict[str, _Bucket] = {}
        self._allowances: dict[str, Allowance] = {}

    def allowance_of(self, token_hash: str) -> Allowance | None:
        """Return what a token had left when it last sent something, None without a limit."""
        return self._allowances.get(token_hash)

    def admit(self, token: LiveToken, count: int, *, soon: int) -> None:
        """Use up the allowance for `count` events, or none of it.

        `soon` is what the same token sends in this and the next few calls. Raises RateLimited,
        LargerThanBurst and what the database raises.
        """
        limit = token.limit or self._default
        if limit is None:
            self._allowances.pop(token.token_hash, None)
            return
        if count > limit.burst:
            raise LargerThanBurst(limit, count)
        bucket = self._bucket(token, limit)
        if bucket.in_hand < count and bucket.may_ask(count):
            self._take(token, bucket, count, soon)
        if bucket.in_hand < count:
            self._refuse(token, bucket, count)
        bucket.in_hand -= count
        self._note(token, bucket)

    def give_back(self, token: LiveToken, count: int) -> None:
        """Count no longer what was admitted and then not accepted."""
        bucket = self._buckets.get(token.id)
        if bucket is not None:
            bucket.in_hand = min(bucket.limit.burst, bucket.in_hand + count)
            self._note(token, bucket)

    def record_refusal(self, token: LiveToken) -> None:
        """Record that the token was refused now, unless that was recorded a moment ago."""
        bucket, now = self._buckets.get(token.id), time.monotonic()
        if bucket is None or now - bucket.refused_at < _REFUSED_PRECISION_SECONDS:
            return
        bucket.refused_at = now
        try:
            shared_allowances.record_refusal(self._database, token.id)
        except transient_errors.DATABASE_ERRORS as error:
            transient_errors.log_unavailable(log, error)

    def _bucket(self, token: LiveToken, limit: RateLimit) -> _Bucket:
        bucket = self._buckets.get(token.id)
        if bucket is None or bucket.limit != limit:
            in_hand = min(bucket.in_hand, limit.burst) if bucket else 0
            bucket = self._buckets[token.id] = _Bucket(limit, in_hand, left=limit.burst)
        return bucket

    def _take(self, token: LiveToken, bucket: _Bucket, count: int, soon: int) -> None:
        limit = bucket.limit
        piece = max(min(limit.per_second, limit.burst), int(bucket.left)) // _SLICES_PER_SECOND
        least = count - bucket.in_hand
        most = max(least, piece, soon - bucket.in_hand)
        grant = shared_allowances.take(self._database, token.id, limit, least=least, most=most)
        bucket.in_hand += grant.taken
        bucket.left, bucket.asked_at = grant.left, time.monotonic()

    def _refuse(self, token: LiveToken, bucket: _Bucket, count: int) -> None:
        """Raise RateLimited."""
        left = bucket.at_most()
        # What the database did not give, it will not give in this second, whatever rounding makes of it.
        seconds = max(1, bucket.limit.seconds_until(count, left))
        allowance = Allowance(bucket.limit, max(0, min(int(left), count - 1)), seconds)
        self._allowances[token.token_hash] = allowance
        raise RateLimited(allowance)

    def _note(self, token: LiveToken, bucket: _Bucket) -> None:
        left = bucket.at_most()
        limit = bucket.limit
        shown = max(0, min(limit.burst, int(left)))
        self._allowances[token.token_hash] = Allowance(limit, shown, limit.seconds_until(limit.burst, left))
