"""An endpoint that has begun to fail, for the pages that show it: what it was sent last is being retried."""

from datetime import timedelta

from sqlalchemy import bindparam, text

from webhooks_app.core import clock
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.extensions import services

# More than a page looks at, each with an id of its own in what the receiver says.
FAILURES = 1000

_CHOOSE = """
    SELECT id FROM deliveries WHERE endpoint_id = :endpoint_id ORDER BY id DESC LIMIT :count
"""
_STATEMENTS = (
    "UPDATE deliveries SET state = 'pending', last_outcome = 'http_4xx', last_status = 404, finished_at = NULL,"
    f" next_attempt_at = :next_at, last_attempt_at = :now WHERE id IN ({_CHOOSE})",
    "INSERT INTO pending_deliveries (delivery_id, endpoint_id, event_id, next_attempt_at, generation, tries, lapses)"
    f" SELECT id, endpoint_id, event_id, :next_at, 1, 1, 0 FROM deliveries WHERE id IN ({_CHOOSE})",
    "UPDATE attempts SET outcome = 'http_4xx', status = 404, started_at = :now, response_body ="
    " CAST('{\"error\": \"no row of batch ' || delivery_id || '\"}' AS {bytes})"
    f" WHERE delivery_id IN ({_CHOOSE})",
    "UPDATE endpoint_health SET failing_since = :since, failure_count = :count, last_success_at = :since,"
    " last_failure_at = :now, last_failure_outcome = 'http_4xx', last_failure_status = 404"
    " WHERE endpoint_id = :endpoint_id",
)


def begin(endpoint_id: str, count: int = FAILURES) -> None:
    """Have the newest `count` deliveries of the endpoint fail since ten minutes ago."""
    now = clock.now()
    values = {
        "endpoint_id": endpoint_id,
        "count": count,
        "now": now,
        "since": now - timedelta(minutes=10),
        "next_at": now + timedelta(minutes=5),
    }
    with services().write.begin() as connection:
        kind = "BLOB" if connection.dialect.name == "sqlite" else "bytea"
        for statement in _STATEMENTS:
            named = {name for name in values if f":{name}" in statement}
            moments = [bindparam(name, type_=UtcDateTime) for name in named & {"now", "since", "next_at"}]
            prepared = text(statement.replace("{bytes}", kind)).bindparams(*moments)
            connection.execute(prepared, {name: values[name] for name in named})
