"""Two attempts side by side: what was sent, what came back, and how long it took."""

import json
from typing import NamedTuple

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from webhooks_app.core import clock, ids, text_display
from webhooks_app.deliveries.log import attempt_diff, search
from webhooks_app.deliveries.log.attempts import LoggedAttempt, read_attempts
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.deliveries.log.rows import DeliveryRow, read_row
from webhooks_app.extensions import db
from webhooks_app.web import response_text
from webhooks_app.web.delivery_rows import load_row
from webhooks_app.web.responses import PageResponse


class Compared(NamedTuple):
    """One side: an attempt, its delivery, and its response taken apart."""

    row: DeliveryRow
    attempt: LoggedAttempt
    status_line: str
    headers: list[tuple[str, str]]
    body: str

    @classmethod
    def of(cls, row: DeliveryRow, attempt: LoggedAttempt) -> "Compared":
        status_line, headers = text_display.parse_header_block(attempt.response_headers)
        body = response_text.decode_body(headers, attempt.response_body, is_cut=attempt.is_truncated).content
        return cls(row, attempt, status_line, headers, _as_lines(text_display.flatten(body)))


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/<delivery_id>/compare")(compare)


def compare(delivery_id: str) -> PageResponse:
    """Compare `left` with `right`, ids of attempts; by default the last success with the delivery's last."""
    row = load_row(delivery_id)
    attempts = read_attempts(db.session(), row.id, row.attempt_count, full=True)
    if not attempts:
        return redirect(url_for("deliveries.show", delivery_id=row.id))
    right = _chosen("right", row, attempts) or Compared.of(row, attempts[0])
    success = _last_success(row, attempts, right)
    left = _chosen("left", row, attempts) or success or Compared.of(row, attempts[min(1, len(attempts) - 1)])
    return render_template(
        "deliveries/compare.html",
        row=row,
        attempts=attempts,
        success=success,
        left=left,
        right=right,
        request_headers=attempt_diff.compare_headers(_sent(left.attempt), _sent(right.attempt)),
        response_headers=attempt_diff.compare_headers(left.headers, right.headers),
        phases=attempt_diff.compare_phases(left.attempt.phases, right.attempt.phases),
        body=attempt_diff.compare_texts(left.body, right.body),
    )


def _chosen(name: str, row: DeliveryRow, attempts: list[LoggedAttempt]) -> Compared | None:
    """Return the attempt that the request names; 404 for one that is not there or another workspace's.

    `attempts` are those of `row`; it may be another delivery's.
    """
    attempt_id = request.args.get(name, "")
    if not attempt_id:
        return None
    own = next((each for each in attempts if each.id == attempt_id), None)
    found = Compared.of(row, own) if own else _of_another(attempt_id)
    if found is None:
        abort(404)
    return found


def _of_another(attempt_id: str) -> Compared | None:
    row = read_row(db.session(), g.workspace.id, ids.delivery_id_of(attempt_id))
    if row is None or not attempt_id.startswith("att_"):
        return None
    attempts = read_attempts(db.session(), row.id, row.attempt_count, full=True)
    return next((Compared.of(row, each) for each in attempts if each.id == attempt_id), None)


def _last_success(row: DeliveryRow, attempts: list[LoggedAttempt], beside: Compared) -> Compared | None:
    """Return the endpoint's last success from before the delivery, or the delivery's own."""
    if row.is_success and not beside.attempt.is_success:
        return Compared.of(row, attempts[0])
    delivered = LogFilter(endpoint=row.endpoint_id, status=Status.DELIVERED)
    found = search.find_deliveries(
        db.session(), g.workspace.id, delivered, now=clock.now(), limit=1, before=row.id
    )
    earlier = read_row(db.session(), g.workspace.id, found.ids[0]) if found.ids else None
    if earlier is None:
        return None
    newest = read_attempts(db.session(), earlier.id, earlier.attempt_count, full=True, limit=1)
    return Compared.of(earlier, newest[0]) if newest else None


def _sent(attempt: LoggedAttempt) -> list[tuple[str, str]]:
    return [*attempt.target.items(), *attempt.request_headers]


def _as_lines(body: str) -> str:
    """Return JSON over several lines, so that what differs in it is told apart; other text as it is."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return body
    return text_display.indent_json(body)
