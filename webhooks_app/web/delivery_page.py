"""One delivery: its page, its JSON, and what can be done with it."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import flash, g, jsonify, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from webhooks_app.core import ids, text_display
from webhooks_app.db.models import Endpoint
from webhooks_app.deliveries import cancellations, log, replays
from webhooks_app.deliveries.cancellations import CancelResult
from webhooks_app.deliveries.log import DeliveryRow, LoggedAttempt
from webhooks_app.deliveries.replays import ReplayResult
from webhooks_app.endpoints import charts
from webhooks_app.endpoints.custom_headers import VALUE_MASK
from webhooks_app.extensions import db, services
from webhooks_app.web.access import actor, admin_required
from webhooks_app.web.delivery_log_page import PageResponse, blueprint, load_row, rows_fragment
from webhooks_app.web.layout import is_fragment


@blueprint.get("/<delivery_id>")
def show(delivery_id: str) -> PageResponse:
    row = load_row(delivery_id)
    if is_fragment() and request.args.get("seen") == row.version:
        return "", 204
    return _page(row)


@blueprint.get("/<delivery_id>/json")
def show_json(delivery_id: str) -> Response:
    row = load_row(delivery_id)
    payload, _ = log.read_payload(db.session(), row.event_id)
    tries = log.read_attempts(db.session(), row.id, row.attempt_count, full=True)
    return jsonify(_json(row, payload, tries))


@contextmanager
def _unknown_is_404() -> Iterator[None]:
    try:
        yield
    except replays.UnknownDelivery:
        raise NotFound from None


@blueprint.post("/replay")
@admin_required
def replay_selected() -> PageResponse:
    selected = list(dict.fromkeys(request.form.getlist("delivery")))[: log.PAGE_SIZE]
    if not selected:
        return _answer([], "Select the deliveries to replay first.", "info")
    with _unknown_is_404():
        results = replays.start_several(
            services().write, services().wake_ups, g.workspace.id, selected, actor=actor()
        )
    return _answer(selected, *_told(results))


@blueprint.post("/<delivery_id>/replay")
@admin_required
def replay(delivery_id: str) -> PageResponse:
    with _unknown_is_404():
        result = replays.start(
            services().write, services().wake_ups, g.workspace.id, delivery_id, actor=actor()
        )
    return _answer([delivery_id], result.value, "success" if result.is_sent else "danger")


@blueprint.post("/<delivery_id>/cancel")
@admin_required
def cancel(delivery_id: str) -> PageResponse:
    with _unknown_is_404():
        result = cancellations.cancel(services().write, g.workspace.id, delivery_id, actor=actor())
    return _answer([delivery_id], result.value, "success" if result is CancelResult.CANCELED else "danger")


def _answer(delivery_ids: list[str], text: str, variant: str) -> Response:
    """What was done, to the page it was done on: the log sends along its own address as `back`."""
    from_log = "back" in request.form
    if not is_fragment():
        flash(text, variant)
        if from_log or not delivery_ids:
            back = urlencode(parse_qsl(request.form.get("back", "")))
            return redirect(f"{_log_path()}?{back}".rstrip("?"), 303)
        return redirect(url_for("deliveries.show", delivery_id=delivery_ids[0]), 303)
    response = make_response(_fragment(delivery_ids, from_log=from_log))
    response.headers["HX-Trigger"] = json.dumps({"toast": {"text": text, "variant": variant}})
    return response


def _log_path() -> str:
    """Of the log that the form stood in: an endpoint's, while it is there, or the workspace's."""
    tab = request.form.get("tab", "")
    endpoint = db.session.get(Endpoint, tab) if ids.is_id("ep", tab) else None
    if endpoint is None or endpoint.workspace_id != g.workspace.id or endpoint.deleted_at is not None:
        return url_for("deliveries.index")
    return url_for("endpoints.deliveries", endpoint_id=endpoint.id)


def _fragment(delivery_ids: list[str], *, from_log: bool) -> str:
    if not from_log and delivery_ids:
        return _page(load_row(delivery_ids[0]))
    rows = log.read_rows(db.session(), g.workspace.id, delivery_ids)
    return rows_fragment(rows, in_parts=request.endpoint == "deliveries.replay_selected")


def _told(results: Counter[ReplayResult]) -> tuple[str, str]:
    """`2 replays started. 1 left out: the endpoint is disabled.`, and the toast's variant."""
    sent = sum(count for result, count in results.items() if result.is_sent)
    words = [f"{sent} {'replay' if sent == 1 else 'replays'} started."] if sent else []
    words += [f"{count} left out: {result.value}" for result, count in results.items() if not result.is_sent]
    return " ".join(words), "success" if sent == results.total() else "danger"


def _page(row: DeliveryRow) -> str:
    payload, size = log.read_payload(db.session(), row.event_id)
    tries = log.read_attempts(db.session(), row.id, row.attempt_count, full=True)
    text = payload.decode("utf-8", "surrogateescape")
    others = log.count_of_event(db.session(), g.workspace.id, row.event_id) - 1
    return render_template(
        "deliveries/_delivery.html" if is_fragment() else "deliveries/show.html",
        row=row,
        tries=tries,
        scale=bar_scale(tries),
        payload=text_display.indent_json(text),
        raw_payload=text,
        payload_bytes=size,
        others=others,
        header_lines=text_display.parse_header_block,
        curl=text_display.curl_command(row.endpoint_url, tries[0].request_headers, text, mask=VALUE_MASK)
        if tries
        else "",
    )


@blueprint.app_template_global()
def bar_scale(tries: list[LoggedAttempt]) -> float:
    """The milliseconds of a timing bar's full width: the slowest attempt, rounded up."""
    return charts.round_up_to_scale(max((each.total_ms for each in tries), default=1))


def _json(row: DeliveryRow, payload: bytes, tries: list[LoggedAttempt]) -> dict[str, Any]:
    return {
        "id": row.id,
        "event_id": row.event_id,
        "event_type": row.event_type,
        "endpoint_id": row.endpoint_id,
        "url": row.endpoint_url,
        "status": row.status,
        "created_at": row.created_at.isoformat(),
        "next_attempt_at": row.next_attempt_at.isoformat() if row.next_attempt_at else None,
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "attempt_count": row.attempt_count,
        "payload": payload.decode("utf-8", "backslashreplace"),
        "attempts": [_attempt_json(each) for each in tries],
    }


def _attempt_json(each: LoggedAttempt) -> dict[str, Any]:
    return {
        "id": each.id,
        "number": each.number,
        "started_at": each.started_at.isoformat(),
        "outcome": each.outcome,
        "detail": each.detail or None,
        "status": each.status,
        "duration_ms": each.total_ms,
        "phases_ms": {phase.name.lower(): phase.ms for phase in each.phases},
        "remote_address": each.remote_address or None,
        "request_headers": each.request_headers,
        "response_headers": each.response_headers.decode("utf-8", "backslashreplace"),
        "response_body": each.response_body.decode("utf-8", "backslashreplace"),
        "response_body_base64": b64encode(each.response_body).decode(),
        "response_is_truncated": each.is_truncated,
    }
