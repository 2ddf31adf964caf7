"""Reading the delivery log: by filter, page by page, and one delivery with its attempts. Only reads."""

from webhooks_app.db.keyset import MatchCount
from webhooks_app.deliveries.log.attempts import (
    PAYLOAD_SHOWN_BYTES,
    LoggedAttempt,
    read_attempts,
    read_payload,
)
from webhooks_app.deliveries.log.filters import (
    RANGES,
    RESPONSES,
    STATUSES,
    FilterError,
    LogFilter,
    Status,
    parse,
    response_filter,
)
from webhooks_app.deliveries.log.pages import (
    NEW_COUNTED,
    PAGE_SIZE,
    LogPage,
    count_newer,
    count_of_event,
    read_page,
)
from webhooks_app.deliveries.log.rows import DeliveryRow, read_row, read_rows

__all__ = [
    "NEW_COUNTED",
    "PAGE_SIZE",
    "PAYLOAD_SHOWN_BYTES",
    "RANGES",
    "RESPONSES",
    "STATUSES",
    "DeliveryRow",
    "FilterError",
    "LogFilter",
    "LogPage",
    "LoggedAttempt",
    "MatchCount",
    "Status",
    "count_newer",
    "count_of_event",
    "parse",
    "read_attempts",
    "read_page",
    "read_payload",
    "read_row",
    "read_rows",
    "response_filter",
]
