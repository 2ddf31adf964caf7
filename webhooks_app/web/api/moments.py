"""Moments in the API's answers."""

from datetime import datetime

from webhooks_app.core.clock import format_rfc3339


def moment(value: datetime | None) -> str | None:
    """Return the moment as machines get it, or None."""
    return format_rfc3339(value) if value is not None else None
