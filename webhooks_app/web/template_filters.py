"""Every filter and function that templates use beyond Jinja's own: moments, sizes and reasons in words.

Those that make URLs are in `template_links`. `register` names them all.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from flask import Flask
from markupsafe import Markup, escape

from webhooks_app.core import clock, text_display, url_masking
from webhooks_app.db.models import Endpoint
from webhooks_app.deliveries.log import filters
from webhooks_app.deliveries.log.attempts import LoggedAttempt
from webhooks_app.deliveries.log.rows import DeliveryRow
from webhooks_app.deliveries.log.status_explanations import StatusExplanation, explain
from webhooks_app.endpoints import charts, health
from webhooks_app.endpoints.health import HealthState
from webhooks_app.extensions import db, services
from webhooks_app.listeners import overview
from webhooks_app.listeners.overview import ListenerRow
from webhooks_app.web import audit_details, endpoint_choice, navigation, searched_text, template_links
from webhooks_app.web.sign_in import device_names

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d UTC)")


def register(app: Flask) -> None:
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(navigation.frame_variables)
    app.jinja_env.filters |= {
        "rfc3339": clock.format_rfc3339,
        "exact": exact,
        "clock_time": clock_time,
        "hour": lambda moment: f"{moment:%H:%M}",
        "day": lambda moment: f"{moment.day} {moment:%b}",
        "weekday": lambda moment: f"{moment:%a}",
        "with_times": with_times,
        "with_code": with_code,
        "relative": relative,
        "elapsed": elapsed,
        "is_recent": is_recent,
        "is_past": is_past,
        "duration": duration,
        "fine": fine,
        "bytes": size,
        "lower_first": lower_first,
        "mask_url": url_masking.mask_url,
        "display_parts": text_display.display_parts,
        "device_name": device_names.name_of,
        "in_words": audit_details.in_words,
        "shown_parts": searched_text.shown_parts,
        "reason": reason,
        "last_failure": health.last_failure,
    }
    app.jinja_env.tests["in_catalog"] = lambda name: name in services().catalog.names
    app.jinja_env.globals |= {
        "asset": template_links.asset,
        "searched_text": searched_text.searched_text,
        "log_address": template_links.log_address,
        "endpoint_list_address": template_links.endpoint_list_address,
        "ended_in": template_links.ended_in,
        "recovery_log": template_links.recovery_log,
        "recovery_address": template_links.recovery_address,
        "target_url": template_links.target_url,
        "endpoint_label": endpoint_choice.endpoint_label,
        "health_of": health_of,
        "listener_of": listener_of,
        "filter_in_words": filter_in_words,
        "time_in_words": time_in_words,
        "bar_scale": bar_scale,
        "schedule_length": schedule_length,
    }


# ---- Moments and durations


def exact(moment: datetime) -> str:
    return clock.format_utc(moment, with_seconds=True)


def clock_time(moment: datetime) -> str:
    """Return `14:02 UTC`, of another day `22 Nov, 14:02 UTC`; times.js says it in the reader's zone."""
    is_today = moment.date() == clock.now().date()
    return f"{moment:%H:%M} UTC" if is_today else f"{moment.day} {moment:%b, %H:%M} UTC"


def with_code(text: str) -> Markup:
    """Return a sentence as HTML in which what stands between backticks, such as a command, is code."""
    parts = text.split("`")
    is_paired = len(parts) % 2 == 1
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if is_paired and position % 2 else escape(part)
        for position, part in enumerate(parts)
    )


def with_times(text: str) -> Markup:
    """Return a sentence as HTML in which times.js finds the moments, such as `2026-01-02 14:02 UTC`."""
    parts = _MOMENT.split(text)
    return Markup().join(
        _marked(part) if position % 2 else escape(part) for position, part in enumerate(parts)
    )


def _marked(text: str) -> Markup:
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    return Markup('<time datetime="{}" data-minute>{}</time>').format(clock.format_rfc3339(moment), text)


def relative(moment: datetime) -> str:
    """Return the distance from now, as times.js says it: `5 min ago`, `in 2 h`."""
    seconds = (clock.now() - moment).total_seconds()
    distance = round(abs(seconds))
    for limit, unit, name in (
        (60, 1, "s"),
        (3600, 60, "min"),
        (86_400, 3600, "h"),
        (float("inf"), 86_400, "d"),
    ):
        if distance < limit:
            amount = f"{distance // unit} {name}"
            break
    return f"in {amount}" if seconds < 0 else f"{amount} ago"


def elapsed(moment: datetime) -> str:
    """Return how long ago it was, as `relative` counts: `5 min`."""
    return relative(min(moment, clock.now())).removesuffix(" ago")


def is_recent(moment: datetime) -> bool:
    return clock.now() - moment < timedelta(minutes=1)


def is_past(moment: datetime) -> bool:
    return moment <= clock.now()


def duration(milliseconds: float) -> str:
    """Return `143 ms`, `1.45 s`, `<1 ms`."""
    if 0 <= milliseconds < 1:
        return "<1 ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"


def fine(milliseconds: float) -> str:
    """Return `0.42 ms`, `143 ms`, `1.45 s`: for phases, some of which take next to nothing."""
    return duration(milliseconds) if milliseconds >= 10 else f"{milliseconds:.2g} ms"


# ---- Sizes and text


def size(count: int) -> str:
    """Return `312 bytes`, `18.2 KiB`."""
    return f"{count} bytes" if count < 1024 else f"{count / 1024:.1f} KiB"


def lower_first(label: str) -> str:
    """Return a label for the middle of a sentence; abbreviations stay as they are."""
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


# ---- Endpoints, deliveries, attempts and recoveries


def health_of(endpoint: Endpoint) -> HealthState:
    return health.read(db.session(), endpoint.id)


def listener_of(endpoint: Endpoint) -> ListenerRow | None:
    return overview.read(db.session(), endpoint.id) if endpoint.is_listener else None


def reason(row: DeliveryRow) -> StatusExplanation:
    return explain(row, schedule_length=schedule_length(), now=clock.now())


def schedule_length() -> int:
    """Return how many attempts a delivery's schedule has."""
    return len(services().settings.retry_delays) + 1


def bar_scale(attempts: Sequence[LoggedAttempt]) -> float:
    """Return the milliseconds of a timing bar's full width: the slowest attempt, rounded up."""
    return charts.round_up_to_scale(max((attempt.total_ms for attempt in attempts), default=1))


def filter_in_words(arguments: Mapping[str, str], endpoint_names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what a filter of the log asks for, as pairs of label and value; names are by endpoint id."""
    log_filter = filters.parse(arguments)
    pairs = [("Status", filters.STATUSES[log_filter.status] if log_filter.status else "Any")]
    if log_filter.endpoint:
        pairs.append(("Endpoint", endpoint_names.get(log_filter.endpoint, log_filter.endpoint)))
    if log_filter.event_type:
        pairs.append(("Event type", log_filter.event_type))
    if log_filter.response:
        pairs.append(("Response", filters.response_label(log_filter.response)))
    if log_filter.traffic:
        pairs.append(("Traffic", filters.TRAFFIC[log_filter.traffic]))
    if log_filter.q:
        pairs.append(("Holds", log_filter.q))
    return pairs


def time_in_words(arguments: Mapping[str, str]) -> str:
    """Return which time a filter of the log asks for; nothing where it asks for none."""
    log_filter = filters.parse(arguments)
    if log_filter.range in filters.RANGES:
        return filters.RANGES[log_filter.range][0]
    bounds = (("from", log_filter.since), ("until", log_filter.until))
    return " ".join(f"{name} {clock.format_utc(moment)}" for name, moment in bounds if moment)
