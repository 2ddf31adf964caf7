"""What `avra events tail` prints: a line when a delivery is accepted, attempted or anything else."""

from datetime import datetime
from typing import Any

import click

from webhooks_app.cli.tailing import ACCEPTED, ATTEMPT
from webhooks_app.core import clock
from webhooks_app.core.outcomes import DESCRIPTIONS, OutcomeClass
from webhooks_app.core.text_display import flatten

# In a pipe; the first five are all that there were before attempts were shown.
COLUMNS = (
    *("created_at", "event_type", "event_id", "delivery_id", "endpoint_name"),
    *("kind", "status", "attempts", "last_attempt_at", "last_status", "last_outcome", "last_detail"),
    *("last_duration_ms", "next_attempt_at"),
)


def line(row: dict[str, Any]) -> str:
    """Return `14:03:22  batch-lifecycle  dlv_…  Orders  503  12 ms  …  attempt 1; next at 14:03:27`."""
    parts = [row["event_type"], row["id"], flatten(row["endpoint_name"])]
    if row["kind"] == ACCEPTED:
        held = ["held, as the endpoint is disabled"] if row["status"] == "held" else []
        return "  ".join([_time(row["created_at"]), *parts, "accepted", row["event_id"], *held])
    if row["kind"] == ATTEMPT:
        result = click.style(_result(row), fg="green" if row["last_outcome"] == "success" else "red")
        took = f"{row['last_duration_ms']} ms"
        told = [flatten(row["last_detail"] or ""), _what_follows(row)]
        return "  ".join([_time(row["last_attempt_at"]), *parts, result, took, *filter(None, told)])
    return "  ".join([_time(clock.format_rfc3339(clock.now())), *parts, row["status"]])


def _result(row: dict[str, Any]) -> str:
    """Return the status that was answered, or what went wrong without one."""
    outcome = row["last_outcome"]
    if row["last_status"]:
        return str(row["last_status"])
    return DESCRIPTIONS[OutcomeClass(outcome)].label if outcome in set(OutcomeClass) else flatten(outcome)


def _what_follows(row: dict[str, Any]) -> str:
    if row["status"] in ("delivered", "canceled"):
        return "" if row["attempts"] == 1 else f"attempt {row['attempts']}"
    if not row["next_attempt_at"]:
        return f"attempt {row['attempts']}; {row['status']}, not tried again"
    return f"attempt {row['attempts']}; next at {_time(row['next_attempt_at'])}"


def _time(moment: str) -> str:
    """Return the time of day here, with the date of another day."""
    here = datetime.fromisoformat(moment).astimezone()
    return f"{here:%H:%M:%S}" if here.date() == datetime.now().date() else f"{here:%Y-%m-%d %H:%M:%S}"
