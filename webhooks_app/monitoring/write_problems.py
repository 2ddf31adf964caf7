"""That the database answers and takes no writes, as this process has met it and as others report it. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from webhooks_app.db import transient_errors
from webhooks_app.db.transient_errors import Cause
from webhooks_app.monitoring import own_report
from webhooks_app.monitoring.facts import Facts
from webhooks_app.monitoring.problem_codes import HealthProblem, ProblemCode, Severity

# By cause: what is the matter, and until when it lasts.
_WORDS: Mapping[str, tuple[str, str]] = {
    Cause.DISK_FULL: ("its disk is full", "there is room on it"),
    Cause.IO_ERROR: ("its disk fails", "it is repaired"),
    Cause.READ_ONLY: ("it is read-only, as a standby is", "its address leads to one that takes them"),
}


def reason(cause: str) -> str:
    """Return in sentences why the database takes no writes."""
    return _WORDS[cause][0] if cause in _WORDS else cause


def refusal(error: Exception) -> str | None:
    """Return a sentence on an error that says that the database takes no writes."""
    sentences = _WORDS.get(transient_errors.cause_of(error) or "")
    return f"{sentences[0].capitalize()}." if sentences else None


def of_own(refusal: tuple[Cause, float] | None, *, now: datetime) -> list[HealthProblem]:
    """Return the problem that this process has met; `refusal` as `WriteRefusals.lasting` returns it."""
    if refusal is None:
        return []
    cause, seconds = refusal
    return [_problem(cause, now - timedelta(seconds=seconds))]


def of_reports(facts: Facts) -> list[HealthProblem]:
    """Return the problem that processes report, since it began for the first of them."""
    alive = [each for kind in own_report.KINDS for each in facts.reports.alive(kind)]
    found = [
        (each.reported_at - timedelta(seconds=each.state["database_seconds"]), each)
        for each in alive
        if each.state.get("database")
    ]
    if not found:
        return []
    since, first = min(found, key=lambda each: each[0])
    return [_problem(first.state["database"], since, ", ".join(each.name for _, each in found))]


def _problem(cause: str, since: datetime, detail: str = "") -> HealthProblem:
    why, until = _WORDS.get(cause, (cause, "that is over"))
    text = f"The database takes no writes: {why}. Events are refused until {until}."
    return HealthProblem(ProblemCode.DATABASE_REFUSES, Severity.FAILING, text, since, detail)
