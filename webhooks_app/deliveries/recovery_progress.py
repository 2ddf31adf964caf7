"""How far a recovery is, and what became of the deliveries that it dealt with. Only reads."""

from dataclasses import dataclass

from sqlalchemy import String, cast, func, literal, select, union_all
from sqlalchemy.orm import Session

from webhooks_app.core import ids
from webhooks_app.db.keyset import COUNT_LIMIT
from webhooks_app.db.models import Delivery, Recovery, RecoveryState
from webhooks_app.deliveries.log import filters

_MARKED = ("retrying", "failed", "canceled", "held")


@dataclass(slots=True, frozen=True)
class Progress:
    """`share` is done, from 0 to 1; `total` is unset where it was too much to count."""

    share: float
    done: int
    total: int | None


@dataclass(slots=True, frozen=True)
class RecoveryOutcomes:
    """How many of a recovery's deliveries stand how, each counted no further than `limit`.

    `pending` wait for the first attempt that they ever had. `gone` were dealt with by a later recovery since,
    or have left the log; None where more than the limit stand somehow.
    """

    delivered: int
    pending: int
    retrying: int
    failed: int
    canceled: int
    held: int
    gone: int | None
    limit: int

    @property
    def is_settled(self) -> bool:
        """Whether none of them waits for an attempt."""
        return not self.pending and not self.retrying


def progress(recovery: Recovery) -> Progress:
    """Return its progress by what was counted at the start or, where that was too much, by time."""
    done = recovery.handled + recovery.left_out
    if recovery.state is RecoveryState.DONE:
        return Progress(1.0, done, recovery.total)
    if recovery.total:
        return Progress(min(done / recovery.total, 1.0), done, recovery.total)
    since, until = filters.parse(recovery.filter).bounds(recovery.created_at)
    if not done or since is None or until is None:
        return Progress(0.0, done, None)
    share = (ids.created_at(recovery.cursor) - since) / (until - since)
    return Progress(min(max(share, 0.0), 1.0), done, None)


def read_outcomes(session: Session, recovery: Recovery, *, limit: int = COUNT_LIMIT) -> RecoveryOutcomes:
    """Return what became of its deliveries so far, in one query over their index."""
    mine = Delivery.recovery_id == recovery.id
    parts = [
        select(literal(word, String).label("word")).where(mine, Delivery.attention_state == word).limit(limit)
        for word in _MARKED
    ]
    # What needs no attention has arrived, or waits for its first attempt.
    plain = select(cast(Delivery.state, String).label("word")).where(mine, Delivery.attention_state.is_(None))
    some = union_all(*(select(part.subquery()) for part in [*parts, plain.limit(limit)])).subquery()
    rows = session.execute(select(some.c.word, func.count()).group_by(some.c.word))
    counts: dict[str, int] = {row[0]: row[1] for row in rows}
    known = sum(counts.values())
    is_all = all(count < limit for count in counts.values())
    return RecoveryOutcomes(
        **{name: counts.get(name, 0) for name in ("delivered", "pending", *_MARKED)},
        gone=max(recovery.handled - known, 0) if is_all else None,
        limit=limit,
    )
