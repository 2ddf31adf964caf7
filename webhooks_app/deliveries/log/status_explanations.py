"""Why a delivery has the status that it has, and what to do about it, in plain words. Pure."""

from datetime import datetime, timedelta
from typing import NamedTuple

from webhooks_app.core.outcome_descriptions import DESCRIPTIONS, hint_for
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.deliveries.log.filters import Status
from webhooks_app.deliveries.log.rows import DeliveryRow
from webhooks_app.deliveries.log.wait_reasons import Wait

# A busy worker takes what is due within a second or two; past this, something is in the way.
OVERDUE = timedelta(seconds=30)
_NOTHING_LEFT = "Its payload was erased, so it cannot be replayed."


class StatusExplanation(NamedTuple):
    """A headline and the text behind it. `variant` is the colour: success, info, warning or danger."""

    headline: str
    text: str
    variant: str


def explain(row: DeliveryRow, *, schedule_length: int, now: datetime) -> StatusExplanation:
    """Return what to say about the delivery; `schedule_length` is how many attempts a schedule has."""
    match row.status:
        case Status.DELIVERED:
            explanation = f"Delivered {_at_which(row, schedule_length)}.", _answer(row), "success"
        case Status.SENDING:
            explanation = "Being sent right now.", _last_failure(row, "The attempt before"), "info"
        case Status.RETRYING:
            explanation = _retrying(row, schedule_length), _retry_advice(row, now), "warning"
        case Status.PENDING:
            text = _listener(row) or _wait(row, now) or "It starts at any moment."
            explanation = "Waiting for its first attempt.", text, "info"
        case Status.HELD:
            explanation = "Held back.", _held(row), "warning"
        case Status.CANCELED:
            explanation = "Canceled: nothing more is sent.", _canceled(row), "warning"
        case _:
            text = f"{_advice(row)} {_what_now(row)}"
            explanation = _failed(row, schedule_length), text, "danger"
    return StatusExplanation(*explanation)


def _at_which(row: DeliveryRow, schedule_length: int) -> str:
    if row.attempt_count == 1:
        return "at the only attempt of a test" if row.is_test else "at the first attempt"
    if row.is_test or _is_any_beside(row):
        return f"after {row.attempt_count} attempts"
    return f"at attempt {row.attempts_in_schedule} of {schedule_length}"


def _is_any_beside(row: DeliveryRow) -> bool:
    """Whether attempts were made that the schedule now running does not count."""
    return row.attempt_count != row.attempts_in_schedule


def _answer(row: DeliveryRow) -> str:
    seconds = (row.last_duration_ms or 0) / 1000
    took = f"{row.last_duration_ms} ms" if seconds < 1 else f"{seconds:.2f} s"
    return f"The endpoint answered {row.last_status} in {took}." if row.last_status else ""


def _retrying(row: DeliveryRow, schedule_length: int) -> str:
    if row.is_manual_due:
        return "A manual attempt is next, beside the schedule."
    if not row.attempts_in_schedule:
        return "Replay started: the first attempt of a fresh schedule is next."
    if _is_any_beside(row):
        used = f"{row.attempts_in_schedule} of {schedule_length}"
        return f"The last attempt failed: {_label(row)}. The schedule has used {used}."
    return f"Attempt {row.attempts_in_schedule} of {schedule_length} failed: {_label(row)}."


def _retry_advice(row: DeliveryRow, now: datetime) -> str:
    if row.is_manual_due:
        parts = _last_failure(row, "The last attempt"), _wait(row, now)
        return " ".join([*filter(None, parts), "If it fails, too, the schedule continues unchanged."])
    # A failure of an earlier schedule says nothing about the one that starts.
    advice = _advice(row) if row.attempts_in_schedule else ""
    return f"{advice} {_wait(row, now)}".strip()


def _failed(row: DeliveryRow, schedule_length: int) -> str:
    if row.last_outcome == OutcomeClass.HTTP_410:
        return "Given up: the endpoint answered 410 Gone."
    if row.is_test:
        return f"The test failed: {_label(row)}. Tests are attempted once."
    if row.attempts_in_schedule >= schedule_length > 1:
        return f"All {row.attempts_in_schedule} attempts failed. The last: {_label(row)}."
    return f"Failed: {_label(row)}."


def _advice(row: DeliveryRow) -> str:
    if not row.last_outcome or row.is_success:
        return ""
    outcome = OutcomeClass(row.last_outcome)
    return f"{DESCRIPTIONS[outcome].reason} {hint_for(outcome, row.last_status)}"


def _last_failure(row: DeliveryRow, which: str) -> str:
    return f"{which} failed: {_label(row)}." if row.outcome_description and not row.is_success else ""


def _label(row: DeliveryRow) -> str:
    """`503, server error`, `timed out`."""
    assert row.outcome_description is not None
    label = row.outcome_description.label
    is_acronym = label[1:2].isupper()
    label = label if is_acronym else label[:1].lower() + label[1:]
    return f"{row.response}, {label}" if row.response.isdigit() else label


def _canceled(row: DeliveryRow) -> str:
    if row.payload_erased_at:
        return f"{_last_failure(row, 'The last attempt')} {_NOTHING_LEFT}"
    text = _why_gone(row) if row.is_deleted else "Replay it to send it after all."
    return f"{_last_failure(row, 'The last attempt')} {text}"


def _held(row: DeliveryRow) -> str:
    if row.is_deleted:
        return _why_gone(row)
    return "The endpoint is disabled. On enabling it, you choose to send or to discard what is held."


def _why_gone(row: DeliveryRow) -> str:
    return "The listener it was for has ended." if row.is_listener else "The endpoint was deleted."


def _what_now(row: DeliveryRow) -> str:
    if row.payload_erased_at:
        return _NOTHING_LEFT
    if row.is_deleted:
        if row.is_listener:
            return "The listener has ended. Start it again under its name, then replay this."
        return "The endpoint was deleted, so it cannot be replayed."
    return "Then replay it." if row.is_reachable else "The endpoint is disabled; enable it to replay."


def _listener(row: DeliveryRow) -> str:
    return (
        "The listener fetches it as soon as its program runs and has taken those before."
        if (row.is_listener)
        else ""
    )


def _wait(row: DeliveryRow, now: datetime) -> str:
    """Say what a delivery that is due waits for; nothing where it is a moment's wait."""
    if row.is_listener:
        return ""
    sentences = [_pause(row.wait, now), _queue(row.wait), _concurrency(row.wait)] if row.wait else []
    return " ".join(each for each in (*sentences, _overdue(row, now)) if each)


def _pause(wait: Wait, now: datetime) -> str:
    if wait.paused_until is None:
        return ""
    seconds = max(1, round((wait.paused_until - now).total_seconds()))
    return f"The endpoint asked for a pause (Retry-After): nothing is sent to it for another {seconds} s."


def _queue(wait: Wait) -> str:
    """`12 deliveries to this endpoint go first, at its rate limit of 2 a second: in 6 s or later.`"""
    if not wait.ahead:
        return ""
    them = "1 delivery" if wait.ahead == 1 else f"{wait.ahead_label} deliveries"
    text = f"{them[:1].upper()}{them[1:]} to this endpoint {'goes' if wait.ahead == 1 else 'go'} first"
    if wait.rate_per_second:
        text += f", at its rate limit of {wait.rate_per_second:,} a second"
        text += f": {_at_least(wait.seconds)}" if wait.seconds else ""
    return f"{text}."


def _concurrency(wait: Wait) -> str:
    if wait.concurrency is None:
        return ""
    count = wait.concurrency.in_flight
    them = "1 request is" if count == 1 else f"{count:,} requests are"
    return (
        f"{them} under way to this endpoint, and no more may be at a time: it gets fewer while it answers "
        "late or not at all, and more with each success."
    )


def _at_least(seconds: int | None) -> str:
    return f"{seconds} s at least" if (seconds or 0) < 120 else f"{(seconds or 0) // 60} min at least"


def _overdue(row: DeliveryRow, now: datetime) -> str:
    if row.next_attempt_at is None or now - row.next_attempt_at < OVERDUE:
        return ""
    minutes = int((now - row.next_attempt_at).total_seconds()) // 60
    late = f"{minutes} min" if minutes else "half a minute"
    if row.wait and (row.wait.paused_until or row.wait.rate_per_second or row.wait.concurrency):
        return f"It has been due for {late}."
    return f"It is overdue by {late}: the endpoint cannot take more at a time, or no worker is running."
