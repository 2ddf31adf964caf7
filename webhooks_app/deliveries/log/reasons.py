"""Why a delivery is where it is, and what to do about it, in plain words. Pure."""

from datetime import datetime, timedelta
from typing import NamedTuple

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.deliveries.log.filters import Status
from webhooks_app.deliveries.log.rows import DeliveryRow

# A busy worker takes what is due within a second or two; past this, something is in the way.
OVERDUE = timedelta(seconds=30)


class Reason(NamedTuple):
    """A sentence to print bold, and what explains it. `variant` is that of a banner."""

    headline: str
    text: str
    variant: str


def explain(row: DeliveryRow, *, schedule: int, now: datetime) -> Reason:
    """`schedule` is how many attempts a schedule has."""
    match row.status:
        case Status.DELIVERED:
            return Reason(f"Delivered {_at_which(row, schedule)}.", _answer(row), "success")
        case Status.SENDING:
            return Reason("Being sent right now.", _last_failure(row, "The attempt before"), "info")
        case Status.RETRYING:
            # What an earlier schedule failed of says nothing about the one that starts.
            advice = _advice(row) if row.attempts_in_schedule else ""
            return Reason(_retrying(row, schedule), advice + _overdue(row, now), "warning")
        case Status.PENDING:
            return Reason(
                "Waiting for its first attempt.", _overdue(row, now) or "It starts at any moment.", "info"
            )
        case Status.HELD:
            return Reason("Held back.", _held(row), "warning")
        case Status.CANCELED:
            text = "The endpoint was deleted." if row.is_deleted else "Replay it to send it after all."
            return Reason(
                "Canceled: nothing more is sent.",
                f"{_last_failure(row, 'The last attempt')} {text}",
                "warning",
            )
        case _:
            return Reason(_failed(row, schedule), f"{_advice(row)} {_what_now(row)}", "danger")


def _at_which(row: DeliveryRow, schedule: int) -> str:
    return (
        "at the first attempt"
        if row.attempt_count == 1
        else f"at attempt {row.attempts_in_schedule} of {schedule}"
    )


def _answer(row: DeliveryRow) -> str:
    seconds = (row.last_duration_ms or 0) / 1000
    took = f"{row.last_duration_ms} ms" if seconds < 1 else f"{seconds:.2f} s"
    return f"The endpoint answered {row.last_status} in {took}." if row.last_status else ""


def _retrying(row: DeliveryRow, schedule: int) -> str:
    if not row.attempts_in_schedule:
        return "Replay started: the first attempt of a fresh schedule is next."
    return f"Attempt {row.attempts_in_schedule} of {schedule} failed: {_label(row)}."


def _failed(row: DeliveryRow, schedule: int) -> str:
    if row.last_outcome == OutcomeClass.HTTP_410:
        return "Given up: the endpoint answered 410 Gone."
    if row.attempts_in_schedule >= schedule > 1:
        return f"All {row.attempts_in_schedule} attempts failed. The last: {_label(row)}."
    return f"Failed: {_label(row)}."


def _advice(row: DeliveryRow) -> str:
    return f"{row.words.reason} {row.words.hint}" if row.words and not row.is_success else ""


def _last_failure(row: DeliveryRow, which: str) -> str:
    return f"{which} failed: {_label(row)}." if row.words and not row.is_success else ""


def _label(row: DeliveryRow) -> str:
    """`503, server error`, `timed out`."""
    assert row.words is not None
    words = row.words.label
    words = words if words[1:2].isupper() else words[:1].lower() + words[1:]
    return f"{row.response}, {words}" if row.response.isdigit() else words


def _held(row: DeliveryRow) -> str:
    if row.is_deleted:
        return "The endpoint was deleted."
    return "The endpoint is disabled. On enabling it, you choose to send or to discard what is held."


def _what_now(row: DeliveryRow) -> str:
    if row.is_deleted:
        return "The endpoint was deleted, so it cannot be replayed."
    return "Then replay it." if row.is_reachable else "The endpoint is disabled; enable it to replay."


def _overdue(row: DeliveryRow, now: datetime) -> str:
    if row.next_attempt_at is None or now - row.next_attempt_at < OVERDUE:
        return ""
    minutes = int((now - row.next_attempt_at).total_seconds()) // 60
    late = f"{minutes} min" if minutes else "half a minute"
    return f" It is overdue by {late}: the endpoint cannot take more at a time, or no worker is running."
