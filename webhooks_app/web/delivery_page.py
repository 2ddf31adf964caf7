"""One delivery: its page, and the same as JSON."""

from base64 import b64encode
from typing import Any

from flask import Blueprint, jsonify, render_template, request
from werkzeug.wrappers import Response

from webhooks_app.core import text_display
from webhooks_app.core.clock import format_optional, format_rfc3339
from webhooks_app.deliveries.log.attempts import LoggedAttempt, read_attempts, read_payload
from webhooks_app.deliveries.log.event_content import read_event_content
from webhooks_app.deliveries.log.filters import Status
from webhooks_app.deliveries.log.rows import DeliveryRow
from webhooks_app.endpoints import waiting_counts
from webhooks_app.extensions import db
from webhooks_app.web import response_text
from webhooks_app.web.delivery_rows import load_row
from webhooks_app.web.responses import PageResponse, is_fragment
from webhooks_app.web.template_filters import bar_scale


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/<delivery_id>")(show)
    blueprint.get("/<delivery_id>/json")(show_json)


def show(delivery_id: str) -> PageResponse:
    row = load_row(delivery_id)
    if is_fragment() and request.args.get("seen") == row.version:
        return "", 204
    return render_delivery(row)


def show_json(delivery_id: str) -> Response:
    row = load_row(delivery_id)
    payload, _ = read_payload(db.session(), row.event_id)
    attempts = read_attempts(db.session(), row.id, row.attempt_count, full=True)
    return jsonify(_delivery_json(row, payload, attempts))


def render_delivery(row: DeliveryRow, *, command: dict[str, Any] | None = None) -> str:
    """Return the delivery's page or, for htmx, the part of it that changes.

    `command` is one that signs the delivery afresh, where it was asked for.
    """
    event = read_event_content(db.session(), row.event_id)
    attempts = read_attempts(db.session(), row.id, row.attempt_count, full=True)
    text = event.body.decode("utf-8", "surrogateescape")
    return render_template(
        "deliveries/_delivery.html" if is_fragment() else "deliveries/show.html",
        row=row,
        attempts=attempts,
        chosen_attempt=request.args.get("attempt", ""),
        scale=bar_scale(attempts),
        payload=text_display.indent_json(text),
        raw_payload=text,
        payload_bytes=len(event.body),
        others=event.delivery_count - 1,
        retrying=_count_retrying(row),
        header_lines=text_display.parse_header_block,
        body_text=response_text.decode_body,
        curl=_curl_command(row, attempts, text),
        command=command,
    )


def _count_retrying(row: DeliveryRow) -> int:
    """Return how many deliveries to the endpoint are retrying, where a test just arrived."""
    if not row.is_test or row.status is not Status.DELIVERED or not row.is_reachable:
        return 0
    return waiting_counts.count_retrying(db.session(), row.endpoint_id)


def _curl_command(row: DeliveryRow, attempts: list[LoggedAttempt], body: str) -> str:
    """Return the last attempt as a command; nothing before the first, or without its headers or a payload."""
    if not attempts or attempts[0].is_damaged or not body:
        return ""
    return text_display.curl_command(row.endpoint_url, attempts[0].request_headers, body)


def _delivery_json(row: DeliveryRow, payload: bytes, attempts: list[LoggedAttempt]) -> dict[str, Any]:
    return {
        "id": row.id,
        "event_id": row.event_id,
        "event_type": row.event_type,
        "endpoint_id": row.endpoint_id,
        "url": row.endpoint_url,
        "status": row.status,
        "created_at": format_rfc3339(row.created_at),
        "next_attempt_at": format_optional(row.next_attempt_at),
        "finished_at": format_optional(row.finished_at),
        "attempt_count": row.attempt_count,
        "is_test": row.is_test,
        "payload_erased_at": format_optional(row.payload_erased_at),
        "payload": payload.decode("utf-8", "backslashreplace"),
        "attempts": [_attempt_json(attempt) for attempt in attempts],
    }


def _attempt_json(attempt: LoggedAttempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "number": attempt.number,
        "is_manual": attempt.is_manual,
        "started_at": format_rfc3339(attempt.started_at),
        "outcome": attempt.outcome,
        "detail": attempt.detail or None,
        "status": attempt.status,
        "duration_ms": attempt.total_ms,
        "phases_ms": {phase.name.lower(): phase.ms for phase in attempt.phases},
        "remote_address": attempt.remote_address or None,
        "request_headers": attempt.request_headers,
        "response_headers": attempt.response_headers.decode("utf-8", "backslashreplace"),
        "headers_are_damaged": attempt.is_damaged,
        "response_body": attempt.response_body.decode("utf-8", "backslashreplace"),
        "response_body_base64": b64encode(attempt.response_body).decode(),
        "response_is_truncated": attempt.is_truncated,
    }
