"""When a failed delivery is attempted again. Pure: the caller passes the time and a random number."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# The example schedule of the Standard Webhooks specification, "Retry schedule", to its tenth attempt: the
# early attempts outlast a deploy, the late ones a weekend without anybody there (about 75 hours in all).
DEFAULT_DELAYS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)

# Up to this share is added to a delay, so that deliveries that failed together are not attempted together.
JITTER = 0.1

# A receiver may postpone an attempt by a day at most; past that, the schedule is the better guess.
LONGEST_RETRY_AFTER = timedelta(days=1)


def scheduled_delay(
    delays: tuple[float, ...],
    *,
    attempts_in_schedule: int,
    chance: float,
    retry_after: timedelta | None = None,
) -> timedelta | None:
    """Return how long to wait after so many failed attempts of a schedule; None when it is exhausted.

    `delays` are in seconds. `chance` is a random number in [0, 1). `retry_after` postpones the attempt, it
    never brings it forward.
    """
    if attempts_in_schedule > len(delays):
        return None
    planned = timedelta(seconds=delays[attempts_in_schedule - 1] * (1 + JITTER * chance))
    return max(planned, retry_after) if retry_after is not None else planned


def parse_retry_after(value: str, *, now: datetime) -> timedelta | None:
    """Return the wait that a `Retry-After` header asks for, clamped to 0 … 1 day; None if it is malformed.

    It holds seconds or a date (RFC 9110, section 10.2.3); a date counts from `now`.
    """
    text = value.strip()
    if text.isascii() and text.isdecimal():
        seconds = int(text.lstrip("0")[:9] or 0)  # nine digits are more than any clamp lets through
        return min(timedelta(seconds=seconds), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max(moment - now, timedelta(0)), LONGEST_RETRY_AFTER)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
