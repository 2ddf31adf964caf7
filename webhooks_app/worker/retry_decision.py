"""What an outcome means for its delivery. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.core.retry_schedule import next_delay, parse_retry_after
from webhooks_app.db.models.delivery_tables import DeliveryState

# Trying again would not help: the endpoint said so, or our own worker dies of it.
_FINAL = (OutcomeClass.HTTP_410, OutcomeClass.CRASHED)

# An endpoint that asks for patience is left alone by all its deliveries, not only by the one that it told;
# for a minute at most, as one answer says little about an hour.
LONGEST_PAUSE = timedelta(minutes=1)


@dataclass(slots=True, frozen=True)
class RetryDecision:
    state: DeliveryState
    next_attempt_at: datetime | None


_DELIVERED = RetryDecision(DeliveryState.DELIVERED, None)


def decide(
    outcome: Outcome, *, tries: int, delays: tuple[float, ...], chance: float, now: datetime
) -> RetryDecision:
    """`tries` counts the attempts of the running schedule, this one included; `chance` is in [0, 1)."""
    if outcome.is_success:
        return _DELIVERED
    if outcome.kind in _FINAL:
        return RetryDecision(DeliveryState.FAILED, None)
    delay = next_delay(delays, tries=tries, chance=chance, retry_after=_asked_delay(outcome, now))
    if delay is None:
        return RetryDecision(DeliveryState.FAILED, None)
    return RetryDecision(DeliveryState.PENDING, now + delay)


def pause(outcome: Outcome, *, now: datetime) -> datetime | None:
    """Until when the endpoint is left alone, if it asked for that."""
    asked = _asked_delay(outcome, now)
    return now + min(asked, LONGEST_PAUSE) if asked else None


def _asked_delay(outcome: Outcome, now: datetime) -> timedelta | None:
    # RFC 9110, section 10.2.3 gives `Retry-After` a meaning for 503, RFC 6585, section 4 for 429.
    if outcome.retry_after and outcome.status in (429, 503):
        return parse_retry_after(outcome.retry_after, now=now)
    return None
