"""When a failed delivery is tried again. Pure: the caller brings the clock and the dice."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# The example schedule of the Standard Webhooks specification, "Retry schedule", to its tenth attempt: the
# early tries ride out a deploy, the late ones a lost weekend (about 75 hours in all).
DEFAULT_DELAYS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)

# Up to this share is added to a delay, so that what failed together does not come back together.
JITTER = 0.1

# A receiver may ask for time, not for eternity: past a day, our own schedule knows better.
LONGEST_RETRY_AFTER = timedelta(days=1)


def next_delay(
    delays: tuple[float, ...], *, tries: int, chance: float, retry_after: timedelta | None = None
) -> timedelta | None:
    """How long to wait after the `tries`-th failed attempt of a schedule; None when it is exhausted.

    `chance` is a random number in [0, 1). `retry_after` postpones the attempt, it never hastens it.
    """
    if tries > len(delays):
        return None
    planned = timedelta(seconds=delays[tries - 1] * (1 + JITTER * chance))
    return max(planned, retry_after) if retry_after is not None else planned


def parse_retry_after(value: str, *, now: datetime) -> timedelta | None:
    """`Retry-After` (RFC 9110, section 10.2.3): seconds or a date, clamped to 0 … 1 day; None if neither."""
    text = value.strip()
    if text.isascii() and text.isdecimal():
        seconds = int(text.lstrip("0")[:9] or "0")  # nine digits are more than any clamp lets through
        return min(timedelta(seconds=seconds), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max(moment - now, timedelta(0)), LONGEST_RETRY_AFTER)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
