"""Adding to the sums of attempts by response and by event type."""

from webhooks_app.db import bulk_sql

# In the order of the key, so that two workers never deadlock.
ADD = bulk_sql.prepare_with_rows(
    """
    INSERT INTO traffic_counts AS old (scope_id, facet, starts_at, minutes, name, count, failed)
    SELECT scope_id, facet, starts_at, minutes, name, count, failed FROM {rows} WHERE true
    ORDER BY scope_id, facet, starts_at, minutes, name
    ON CONFLICT (scope_id, facet, starts_at, minutes, name)
    DO UPDATE SET count = old.count + excluded.count, failed = old.failed + excluded.failed
    """,
    {
        "scope_id": "text",
        "facet": "text",
        "starts_at": "timestamptz",
        "minutes": "int",
        "name": "text",
        "count": "int",
        "failed": "int",
    },
)
