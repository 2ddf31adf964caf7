"""How templates print moments, durations and sizes."""

from datetime import datetime

from webhooks_app.core import clock


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def exact(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def relative(moment: datetime) -> str:
    """As console.js says it: `5 min ago`, `in 2 h`."""
    seconds = (clock.now() - moment).total_seconds()
    size = round(abs(seconds))
    for limit, unit, name in (
        (60, 1, "s"),
        (3600, 60, "min"),
        (86_400, 3600, "h"),
        (float("inf"), 86_400, "d"),
    ):
        if size < limit:
            amount = f"{size // unit} {name}"
            break
    return f"in {amount}" if seconds < 0 else f"{amount} ago"


def duration(milliseconds: float) -> str:
    """`143 ms`, `1.45 s`, `<1 ms`."""
    if 0 <= milliseconds < 1:
        return "<1 ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"
