"""Rows of the delivery log as fragments, with what an opened one shows below it."""

from collections.abc import Sequence
from typing import NamedTuple

from flask import abort, g, render_template, request

from webhooks_app.core import text_display
from webhooks_app.deliveries.log.attempts import (
    PAYLOAD_SHOWN_BYTES,
    LoggedAttempt,
    read_attempts,
    read_payload,
)
from webhooks_app.deliveries.log.rows import DeliveryRow, read_row
from webhooks_app.extensions import db
from webhooks_app.web import response_text
from webhooks_app.web.response_text import ResponseText

# In an opened row; the delivery's own page shows all that was kept.
RESPONSE_SHOWN_BYTES = 2 * 1024


class ResponsePreview(NamedTuple):
    """The newest attempt with its request line, and its response, cut where it is long."""

    attempt: LoggedAttempt
    status_line: str
    body: ResponseText
    is_cut: bool


class RowPreview(NamedTuple):
    """What an opened row shows: its attempts, what came back last, and the payload, each cut if long."""

    attempts: list[LoggedAttempt]
    response: ResponsePreview | None
    payload: str
    payload_bytes: int

    @property
    def is_cut(self) -> bool:
        return self.payload_bytes > PAYLOAD_SHOWN_BYTES


def load_row(delivery_id: str, *, with_waits: bool = True) -> DeliveryRow:
    """Return the workspace's delivery; 404 for another's or an unknown one."""
    row = read_row(db.session(), g.workspace.id, delivery_id, with_waits=with_waits)
    if row is None:
        abort(404)
    return row


def render_row(row: DeliveryRow) -> str:
    """Return the row alone, which htmx puts in the place of its older self."""
    return _render("deliveries/_row.html", [row])


def render_rows(rows: Sequence[DeliveryRow]) -> str:
    """Return several rows as parts that each find their place."""
    return _render("deliveries/_changes.html", rows)


def _render(template: str, rows: Sequence[DeliveryRow]) -> str:
    return render_template(template, rows=rows, previews=row_previews(rows), count=None)


def row_previews(rows: Sequence[DeliveryRow]) -> dict[str, RowPreview]:
    """Return the previews of the rows that are open, by their ids; the request's `open` names those."""
    open_ids = set(request.values.getlist("open"))
    return {row.id: _read_preview(row) for row in rows if row.id in open_ids}


def _read_preview(row: DeliveryRow) -> RowPreview:
    attempts = read_attempts(db.session(), row.id, row.attempt_count, full=False)
    payload, size = read_payload(db.session(), row.event_id, limit=PAYLOAD_SHOWN_BYTES)
    # A character cut in two at the end is no invalid byte of the sender's.
    text = payload.decode("utf-8", "ignore" if size > len(payload) else "surrogateescape")
    newest = read_attempts(db.session(), row.id, row.attempt_count, full=True, limit=1)
    response = _preview_response(newest[0]) if newest else None
    return RowPreview(attempts, response, text_display.indent_json(text), size)


def _preview_response(attempt: LoggedAttempt) -> ResponsePreview:
    status_line, headers = text_display.parse_header_block(attempt.response_headers)
    is_cut = attempt.is_truncated or len(attempt.response_body) > RESPONSE_SHOWN_BYTES
    body = response_text.decode_body(headers, attempt.response_body[:RESPONSE_SHOWN_BYTES], is_cut=is_cut)
    return ResponsePreview(attempt, status_line, body, is_cut)
