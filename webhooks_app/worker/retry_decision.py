"""What an outcome means for its delivery, and for how long its endpoint is left alone. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.core.retry_schedule import parse_retry_after, scheduled_delay
from webhooks_app.db.models.delivery_tables import DeliveryState

# An endpoint that sends `Retry-After` is left alone by all its deliveries, not only by the one that it
# answered; for a minute at most, as one answer says little about an hour.
LONGEST_PAUSE = timedelta(minutes=1)


@dataclass(slots=True, frozen=True)
class RetryDecision:
    """The delivery's new state, when it is attempted again if it is pending, and until when its endpoint
    asked to be left alone, if it did."""

    state: DeliveryState
    next_attempt_at: datetime | None
    pause_endpoint_until: datetime | None = None


_DELIVERED = RetryDecision(DeliveryState.DELIVERED, None)
_FAILED = RetryDecision(DeliveryState.FAILED, None)

# Our own worker dies of it, or what is stored is damaged: no other attempt would end differently.
_HOPELESS = frozenset({OutcomeClass.CRASHED, OutcomeClass.PAYLOAD})


def decide(
    outcome: Outcome,
    *,
    attempts_in_schedule: int,
    delays: tuple[float, ...],
    chance: float,
    now: datetime,
    scheduled_at: datetime | None = None,
    is_test: bool = False,
) -> RetryDecision:
    """Decide what follows from an attempt's outcome.

    `attempts_in_schedule` includes this attempt. `delays` are the schedule's, in seconds; `chance` is a
    random number in [0, 1) for the jitter. `now` is when the answer came: `Retry-After` counts from there
    (RFC 9110, section 10.2.3), and so do the delays of the schedule. A manual attempt, which has a
    `scheduled_at`, leaves the schedule as it is; a test is attempted once.
    """
    if outcome.is_success:
        return _DELIVERED
    if outcome.kind in _HOPELESS:
        return _FAILED
    retry_after = _retry_after(outcome, now)
    pause_until = _pause_of_endpoint(retry_after, now)
    if scheduled_at is not None:
        return RetryDecision(DeliveryState.PENDING, scheduled_at, pause_until)
    if is_test or outcome.kind is OutcomeClass.HTTP_410:  # the endpoint says that no other attempt would help
        return RetryDecision(DeliveryState.FAILED, None, pause_until)
    delay = scheduled_delay(
        delays, attempts_in_schedule=attempts_in_schedule, chance=chance, retry_after=retry_after
    )
    if delay is None:
        return RetryDecision(DeliveryState.FAILED, None, pause_until)
    return RetryDecision(DeliveryState.PENDING, now + delay, pause_until)


def _retry_after(outcome: Outcome, now: datetime) -> timedelta | None:
    # RFC 9110, section 10.2.3 gives `Retry-After` a meaning for 503, RFC 6585, section 4 for 429.
    if outcome.retry_after and outcome.status in (429, 503):
        return parse_retry_after(outcome.retry_after, now=now)
    return None


def _pause_of_endpoint(retry_after: timedelta | None, now: datetime) -> datetime | None:
    return now + min(retry_after, LONGEST_PAUSE) if retry_after else None
