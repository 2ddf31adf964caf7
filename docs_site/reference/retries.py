"""The retry schedule in times of the clock, when an endpoint is disabled, and a consumer's limits."""

from datetime import timedelta
from itertools import accumulate

from docs_site.reference.durations import clock_time, duration
from webhooks_app.core import retry_schedule, signing
from webhooks_app.core.retry_schedule import DEFAULT_DELAYS
from webhooks_app.endpoints import auto_disable, endpoint_values, signing_secrets
from webhooks_app.transport import exchange
from webhooks_app.web.api.event_input import LARGEST_EVENT_BYTES
from webhooks_app.web.documents.document_blocks import markdown_table
from webhooks_app.worker import retry_decision

_FIRST = timedelta(hours=9)  # the example's first attempt, on a Monday
_DISABLE_DAYS = 5  # the default of WEBHOOKS_AUTO_DISABLE_DAYS


def schedule() -> str:
    """Return the table of attempts, without the jitter and the time that answers take."""
    after = [0.0, *accumulate(DEFAULT_DELAYS)]
    rows = [
        (
            str(number),
            duration(delay) if delay else "at once",
            duration(total) if total else "–",
            clock_time(_FIRST + timedelta(seconds=total)),
        )
        for number, (delay, total) in enumerate(zip((0.0, *DEFAULT_DELAYS), after, strict=True), 1)
    ]
    head = ("Attempt", "After the one before", "After the first", "If the first is on Mon 09:00:00")
    jitter = (
        f"Up to {retry_schedule.JITTER:.0%} is added to each wait, so that what failed together does not "
        "come back together."
    )
    return f"{markdown_table(head, rows)}\n\n{jitter}"


def disabling() -> str:
    """Return when an endpoint is disabled, by the default settings."""
    rows = [
        ("a warning", _days(auto_disable.WARNING_SHARE)),
        ("a final warning, which names the moment", _days(auto_disable.FINAL_SHARE)),
        ("disabled, by the first failure after that moment", _days(1)),
    ]
    return (
        f"{markdown_table(('What happens', 'After nothing but failures for'), rows)}\n\n"
        f"A streak has {auto_disable.ENOUGH_FAILURES} failures at least before any of this happens, and one "
        "success ends it."
    )


def _days(share: float) -> str:
    return duration(_DISABLE_DAYS * share * 86_400)


def limits() -> str:
    """Return the figures that a receiver has to allow for."""
    overlaps = ", ".join(name for name in signing_secrets.OVERLAPS if name != "now")
    heard = duration(retry_schedule.LONGEST_RETRY_AFTER.total_seconds())
    paused = duration(retry_decision.LONGEST_PAUSE.total_seconds())
    rows = [
        (
            "Time for an answer",
            f"{endpoint_values.DEFAULT_TIMEOUT_MS / 1000:g} s, all of it: connection, TLS, request, response",
        ),
        ("The same, as an admin can set it", f"up to {endpoint_values.LONGEST_TIMEOUT_MS / 1000:g} s"),
        (
            "Largest `data` of an event",
            f"{LARGEST_EVENT_BYTES // 1024} KiB, so allow a body of {LARGEST_EVENT_BYTES // 1024 * 2} KiB",
        ),
        (
            "Response body that is kept",
            f"{exchange.RECORDED_BODY_BYTES // 1024} KiB; what is longer is not read",
        ),
        (
            "`Retry-After` of a 429 or 503",
            f"heard up to {heard} for the delivery, {paused} for all others of the endpoint",
        ),
        ("Age of a signature to accept", f"{duration(signing.TOLERANCE_SECONDS)}"),
        ("Both secrets sign after a rotation for", f"as chosen: not at all, {overlaps}"),
    ]
    return markdown_table(("Limit", "Default"), rows)
