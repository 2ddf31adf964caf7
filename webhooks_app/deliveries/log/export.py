"""The rows of a filter as a file, written while they are read, however many there are."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from webhooks_app.core import clock
from webhooks_app.db.engines import ReadDatabase
from webhooks_app.deliveries.log import search
from webhooks_app.deliveries.log.filters import LogFilter
from webhooks_app.deliveries.log.rows import DeliveryRow, read_rows

COLUMNS = (
    *("id", "event_id", "event_type", "endpoint_id", "endpoint_name", "url", "status", "response"),
    *("http_status", "attempts", "accepted_at", "last_attempt_at", "next_attempt_at", "finished_at"),
    *("duration_ms", "is_test", "payload_erased_at"),
)
# A spreadsheet takes what begins with one of these for a formula (OWASP, "CSV Injection"), behind space and
# quotes, too. Which sign ends a cell depends on the reader's country and settings, and where that is another
# than the comma, quotes around a cell mean nothing: so the start of each possible cell is looked at.
_CELL_STARTS = re.compile(
    r"""(^|[,;\t\r\n])(?=[\s"\u200b-\u200f\u2060\ufeff]*[=+\-@|%\t\r\n＝＋－＠｜％﹢﹣﹦﹪﹫])"""
)


@dataclass(frozen=True, slots=True)
class ExportLimits:
    """How many rows are read in one transaction: a reader who takes hours must not hold one open so long."""

    page_rows: int = 500


DEFAULT_LIMITS = ExportLimits()


def as_csv(
    database: ReadDatabase,
    workspace_id: str,
    log_filter: LogFilter,
    *,
    now: datetime,
    limits: ExportLimits = DEFAULT_LIMITS,
) -> Iterator[str]:
    """Yield the lines of a CSV file (RFC 4180), a header first, then the newest deliveries first."""
    yield _csv_line(COLUMNS)
    for row in _rows(database, workspace_id, log_filter, now, limits):
        yield _csv_line(["" if value is None else _without_formula(str(value)) for value in _values(row)])


def as_json(
    database: ReadDatabase,
    workspace_id: str,
    log_filter: LogFilter,
    *,
    now: datetime,
    limits: ExportLimits = DEFAULT_LIMITS,
) -> Iterator[str]:
    """Yield the parts of a JSON array of objects, the newest deliveries first."""
    before = "[\n"
    for row in _rows(database, workspace_id, log_filter, now, limits):
        yield before + json.dumps(dict(zip(COLUMNS, _values(row), strict=True)), ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _rows(
    database: ReadDatabase, workspace_id: str, log_filter: LogFilter, now: datetime, limits: ExportLimits
) -> Iterator[DeliveryRow]:
    before = ""
    with database.session() as session:
        log_filter = search.resolve_text_kind(session, workspace_id, log_filter)
    while True:
        with database.session() as session:
            result = search.find_deliveries(
                session, workspace_id, log_filter, now=now, limit=limits.page_rows, before=before
            )
            rows = read_rows(session, workspace_id, result.ids)
        yield from rows
        if not result.has_more:
            return
        before = result.reached or result.ids[-1]


def _values(row: DeliveryRow) -> list[str | int | None]:
    """Return the values in the order of COLUMNS."""
    moments = row.created_at, row.last_attempt_at, row.next_attempt_at, row.finished_at
    return [
        *(row.id, row.event_id, row.event_type, row.endpoint_id, row.endpoint_name, row.endpoint_url),
        *(row.status.value, row.response or None, row.last_status, row.attempt_count),
        *map(clock.format_optional, moments),
        row.last_duration_ms,
        "test" if row.is_test else None,
        clock.format_optional(row.payload_erased_at),
    ]


def _without_formula(text: str) -> str:
    """Return the text with an apostrophe before each part that a spreadsheet could compute."""
    return _CELL_STARTS.sub(r"\1'", text)


def _csv_line(values: "list[str] | tuple[str, ...]") -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()
