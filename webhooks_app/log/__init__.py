"""Reading the delivery log: by filter, page by page, and one delivery with its attempts. Only reads."""

from webhooks_app.log.attempts import PAYLOAD_SHOWN_BYTES, Try, read_payload, read_tries
from webhooks_app.log.filters import (
    RANGES,
    RESPONSES,
    STATUSES,
    Filter,
    FilterError,
    Status,
    parse,
    response_of,
)
from webhooks_app.log.pages import NEW_COUNTED, PAGE_SIZE, Page, count_newer, count_of_event, page
from webhooks_app.log.rows import Row, read_row, read_rows
from webhooks_app.log.search import Counted, Found, count, find

__all__ = [
    "NEW_COUNTED",
    "PAGE_SIZE",
    "PAYLOAD_SHOWN_BYTES",
    "RANGES",
    "RESPONSES",
    "STATUSES",
    "Counted",
    "Filter",
    "FilterError",
    "Found",
    "Page",
    "Row",
    "Status",
    "Try",
    "count",
    "count_newer",
    "count_of_event",
    "find",
    "page",
    "parse",
    "read_payload",
    "read_row",
    "read_rows",
    "read_tries",
    "response_of",
]
