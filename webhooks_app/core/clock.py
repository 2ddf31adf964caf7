"""The one place that asks what time it is, and how a moment is spelled for machines and for people."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current moment, aware, in UTC."""
    return datetime.now(UTC)


def format_rfc3339(moment: datetime) -> str:
    """Return an aware moment as machines get it everywhere: RFC 3339, UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_utc(moment: datetime, *, with_seconds: bool = False) -> str:
    """Return an aware moment as people read it in texts: `2026-01-02 14:02 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M{':%S' if with_seconds else ''}} UTC"


def format_optional(moment: datetime | None) -> str | None:
    """Return the moment as `format_rfc3339` does, or None where there is none."""
    return None if moment is None else format_rfc3339(moment)
