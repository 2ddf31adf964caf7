"""Durations and times of day, as the documents write them."""

from datetime import timedelta


def duration(seconds: float) -> str:
    """Return a duration in the units that people say it in: `2 h`, `1 d 3 h`, `5 s`."""
    left, parts = round(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def clock_time(moment: timedelta) -> str:
    """Return a time after Monday midnight: `Tue 04:05`."""
    days, seconds = divmod(round(moment.total_seconds()), 86_400)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[days % 7]
    return f"{day} {seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
