"""What `avra events tail` prints: a line when a delivery is accepted, attempted or anything else."""

from typing import Any

from webhooks_app.cli import terminal
from webhooks_app.cli.api_output import failure_label, last_response, short_time
from webhooks_app.cli.tailing import ACCEPTED, ATTEMPT
from webhooks_app.core import clock
from webhooks_app.core.text_display import flatten

# In a pipe; the first five are all that there were before attempts were shown.
COLUMNS = (
    *("created_at", "event_type", "event_id", "delivery_id", "endpoint_name"),
    *("kind", "status", "attempts", "last_attempt_at", "last_status", "last_outcome", "last_detail"),
    *("last_duration_ms", "next_attempt_at"),
)


def line(row: dict[str, Any]) -> str:
    """Return `14:03:22  batch-lifecycle  dlv_…  Orders  503  12 ms  …  attempt 1; next at 14:03:27`."""
    parts = [flatten(str(row[name])) for name in ("event_type", "id", "endpoint_name")]
    if row["kind"] == ACCEPTED:
        held = ["held, as the endpoint is disabled"] if row["status"] == "held" else []
        return "  ".join([short_time(row["created_at"]), *parts, "accepted", flatten(row["event_id"]), *held])
    if row["kind"] == ATTEMPT:
        is_success = row["last_outcome"] == "success"
        result = terminal.colored(_result(row), "green" if is_success else "red")
        took = f"{row['last_duration_ms']} ms"
        details = [flatten(row.get("last_detail") or ""), _what_follows(row)]
        return "  ".join([short_time(row["last_attempt_at"]), *parts, result, took, *filter(None, details)])
    return "  ".join([short_time(clock.format_rfc3339(clock.now())), *parts, flatten(row["status"])])


def _result(row: dict[str, Any]) -> str:
    """Return the status, with what it stands for unless it is success, or what went wrong without one."""
    if row["last_outcome"] == "success" or not row["last_status"]:
        return last_response(row)
    return f"{row['last_status']} {failure_label(row['last_outcome'])}"


def _what_follows(row: dict[str, Any]) -> str:
    if row["status"] in ("delivered", "canceled"):
        return "" if row["attempts"] == 1 else f"attempt {row['attempts']}"
    if not row["next_attempt_at"]:
        return f"attempt {row['attempts']}; {flatten(row['status'])}, not tried again"
    return f"attempt {row['attempts']}; next at {short_time(row['next_attempt_at'])}"
