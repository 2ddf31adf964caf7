"""A loose index scan: the endpoints that have pending deliveries, one index probe each.

Neither SQLite nor PostgreSQL skips from one distinct value of an index to the next by itself, so that
`SELECT DISTINCT endpoint_id` reads every pending row. A recursive query that asks for the next larger value
costs the same however many rows wait at one endpoint. See "Loose indexscan" in the PostgreSQL wiki.
"""

# The CTE `pending_endpoint (endpoint_id)`: endpoints behind :after, by id. Its last row may be NULL, which a
# join or a condition has to drop. The outer query's LIMIT ends the recursion.
PENDING_ENDPOINTS = """
    WITH RECURSIVE pending_endpoint (endpoint_id) AS (
        SELECT * FROM (
            SELECT endpoint_id FROM pending_deliveries WHERE endpoint_id > :after ORDER BY endpoint_id LIMIT 1
        ) AS first
        UNION ALL
        SELECT (
            SELECT p.endpoint_id FROM pending_deliveries p
            WHERE p.endpoint_id > pending_endpoint.endpoint_id ORDER BY p.endpoint_id LIMIT 1
        ) FROM pending_endpoint WHERE pending_endpoint.endpoint_id IS NOT NULL
    )
"""

# An expression over a row of the CTE: when the endpoint's first pending delivery falls due.
EARLIEST_DUE_AT = """(
    SELECT min(p.next_attempt_at) FROM pending_deliveries p
    WHERE p.endpoint_id = pending_endpoint.endpoint_id
)"""
