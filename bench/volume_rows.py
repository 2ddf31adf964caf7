"""Rows of the log as a real run leaves them, inserted by the database itself: a million in half a minute.

Each event has one delivery, and that one attempt; 97 of 100 were delivered. Ids sort by time and are random
behind it, signatures and the ids of the receiver's answers differ, and bodies have about 300 bytes. Bodies and
headers, which are packed, are those of some hundreds of other events; receivers answer within the second.
"""

import json
import os
import uuid
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from sqlalchemy import Connection, insert, text

from webhooks_app.core import ids
from webhooks_app.core.clock import now
from webhooks_app.db import attempt_heads, event_bodies
from webhooks_app.db.models import ConstantHeaders
from webhooks_app.db.models.base import microseconds
from webhooks_app.endpoints.destinations import Destination
from webhooks_app.events import accept
from webhooks_app.extensions import services
from webhooks_app.worker import signed_requests

CHUNK, SAMPLES = 250_000, 500
# Any delivery and moment: neither stands in what is packed.
_SAMPLE_ID, _SAMPLE_AT = "dlv_06h1f25lcjlt04vbbpdftu762c", now()
_CONSTANT = (
    ',[":method","POST"],[":scheme","https"],[":authority","hooks.customer-platform.example"],'
    '[":path","/integrations/avra/events"],["user-agent","Avra-Webhooks/1.0"]'
)
_CONSTANT_DIGEST = -824_320_205
_RESPONSE = (
    "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: %s\r\n"
    "Content-Type: application/json; charset=utf-8\r\nContent-Length: 17\r\nConnection: keep-alive\r\n"
    "X-Request-Id: %s\r\nStrict-Transport-Security: max-age=31536000; includeSubDomains\r\n\r\n"
)
_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_TIME = " || ".join(
    f"substr('{_ALPHABET}', CAST((ms * 4 >> {shift}) & 31 AS integer) + 1, 1)" for shift in range(45, -1, -5)
)
_WORDS = {
    "postgresql": {
        "numbers": "generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n (number)",
        "tail": "substr(md5(CAST(number AS text) || :salt), 1, 15)",
        "moment": "to_timestamp(ms / 1000.0)",
        "padded": "lpad(CAST(number AS text), 7, '0')",
        "bytes": "convert_to({}, 'UTF8')",
        "json": "CAST({} AS json)",
        "false": "false",
    },
    "sqlite": {
        "numbers": (
            "(WITH RECURSIVE n (number) AS (SELECT :first UNION ALL SELECT number + 1 FROM n"
            " WHERE number < :last) SELECT number FROM n) AS n"
        ),
        "tail": "lower(substr(hex(randomblob(8)) || :salt, 1, 15))",
        "moment": "ms * 1000",
        "padded": "printf('%07d', number)",
        "bytes": "CAST({} AS BLOB)",
        "json": "{}",
        "false": "0",
    },
}


def fill(database: str, workspace_id: str, endpoints: list[str], count: int) -> None:
    """Insert `count` deliveries of the last thirty days, the oldest first."""
    words = _WORDS[database]
    start, step_ms = now() - timedelta(days=30), 30 * 86_400_000 / count
    with services().write.begin() as connection:
        connection.execute(
            insert(ConstantHeaders),
            [{"endpoint_id": each, "digest": _CONSTANT_DIGEST, "headers": _CONSTANT} for each in endpoints],
        )
    for begin in range(0, count, CHUNK):
        last = min(begin + CHUNK, count) - 1
        with services().write.without_time_limit().begin() as connection:
            _stage(connection, words, workspace_id, endpoints, (begin, last), start, step_ms)
            for statement in _inserts(words):
                connection.execute(text(statement))
            for table in ("bench_rows", "bench_heads", "bench_bodies", "bench_endpoints"):
                connection.execute(text(f"DROP TABLE {table}"))


def _stage(
    connection: Connection,
    words: dict[str, str],
    workspace_id: str,
    endpoints: list[str],
    numbers: tuple[int, int],
    start: datetime,
    step_ms: float,
) -> None:
    first, last = numbers
    _stage_list(connection, "bench_endpoints", ("id",), [{"id": each} for each in endpoints])
    _stage_list(connection, "bench_heads", ("packed",), [{"packed": _packed_heads()} for _ in range(SAMPLES)])
    bodies = [{"packed": _packed_body(workspace_id)} for _ in range(SAMPLES)]
    _stage_list(connection, "bench_bodies", ("packed",), bodies)
    statement = f"""
        CREATE TEMPORARY TABLE bench_rows AS
        SELECT number, ms, {_TIME} || {words["tail"]} || '0' AS name, {words["moment"]} AS at,
            number % 33 = 0 AS is_bad, 'batch_' || {words["padded"]} AS batch, CAST(:workspace_id AS text) AS workspace_id,
            number * 7919 % :endpoints AS place
        FROM (SELECT number, CAST(:start + number * :step AS bigint) AS ms FROM {words["numbers"]}) AS n
    """
    values: dict[str, Any] = {"first": first, "last": last, "endpoints": len(endpoints)}
    values |= {"start": microseconds(start) // 1000, "step": step_ms, "salt": os.urandom(8).hex()}
    values["workspace_id"] = workspace_id
    named = {name: value for name, value in values.items() if f":{name}" in statement}
    connection.execute(text(statement), named)


def _stage_list(
    connection: Connection, table: str, columns: tuple[str, ...], rows: list[dict[str, Any]]
) -> None:
    kind = "bytea" if connection.dialect.name == "postgresql" and columns == ("packed",) else "text"
    connection.execute(
        text(f"CREATE TEMPORARY TABLE {table} (place integer PRIMARY KEY, {columns[0]} {kind})")
    )
    places = [row | {"place": place} for place, row in enumerate(rows)]
    connection.execute(text(f"INSERT INTO {table} VALUES (:place, :{columns[0]})"), places)


def _packed_body(workspace_id: str) -> bytes:
    data = {
        "batch_id": f"batch_{int.from_bytes(os.urandom(3), 'big') % 10_000_000:07d}",
        "status": "succeeded",
        "model": "llama-70b",
        "request_counts": {"total": 1000, "completed": 990, "failed": 10},
    }
    raw_data = json.dumps(data, separators=(",", ":")).encode()
    owner = {"event_id": ids.new("evt"), "event_type": "batch-lifecycle", "workspace_id": workspace_id}
    return event_bodies.pack(accept.envelope(**owner, raw_data=raw_data, now=now()))


def _packed_heads() -> bytes:
    destination = Destination("", 0, (), (), _CONSTANT, None)
    _, request = signed_requests.sign(_SAMPLE_ID, destination, [os.urandom(32)], b"{}", now=_SAMPLE_AT)
    response = _RESPONSE % (format_datetime(_SAMPLE_AT, usegmt=True), uuid.uuid4())
    packed = attempt_heads.pack_variable(_SAMPLE_ID, _SAMPLE_AT, request, response.encode(), _CONSTANT)
    assert packed is not None
    return packed


def _inserts(words: dict[str, str]) -> list[str]:
    answer = words["bytes"].format("'{\"received\": true}'")
    return [
        f"""
        INSERT INTO events
            (id, workspace_id, type, body, created_at, indexed_values, first_value, second_value)
        SELECT 'evt_' || r.name, r.workspace_id, 'batch-lifecycle', b.packed, at,
            {words["json"].format("'[]'")}, batch, 'succeeded'
        FROM bench_rows r JOIN bench_bodies b ON b.place = r.number % {SAMPLES} ORDER BY number
        """,
        f"""
        INSERT INTO deliveries
            (id, workspace_id, endpoint_id, event_id, event_type, state, created_at, generation, attempt_count,
             tries, last_attempt_at, last_outcome, last_status, last_duration_ms, finished_at, is_test)
        SELECT 'dlv_' || name, workspace_id, e.id, 'evt_' || name,
            CASE number % 3 WHEN 0 THEN 'batch-lifecycle' WHEN 1 THEN 'batch-request' ELSE 'api-key-creation' END,
            CASE WHEN is_bad THEN 'failed' ELSE 'delivered' END, at, 1, 1, 1, at,
            CASE WHEN NOT is_bad THEN 'success' WHEN number % 2 = 0 THEN 'http_5xx' ELSE 'timeout' END,
            CASE WHEN NOT is_bad THEN 200 WHEN number % 2 = 0 THEN 503 END, 20, at, {words["false"]}
        FROM bench_rows r JOIN bench_endpoints e ON e.place = r.place ORDER BY number
        """,
        f"""
        INSERT INTO attempts
            (delivery_id, generation, started_at, outcome, status, dns_us, connect_us, tls_us, first_byte_us,
             total_us, remote_address, request_headers, response_body, response_truncated, packed_heads,
             headers_digest)
        SELECT 'dlv_' || name, 1, at,
            CASE WHEN NOT is_bad THEN 'success' WHEN number % 2 = 0 THEN 'http_5xx' ELSE 'timeout' END,
            CASE WHEN NOT is_bad THEN 200 WHEN number % 2 = 0 THEN 503 END, 0, 0, 0, 19000, 20000,
            '203.0.113.25', '[]', {answer}, {words["false"]}, h.packed, {_CONSTANT_DIGEST}
        FROM bench_rows r JOIN bench_heads h ON h.place = r.number % {SAMPLES} ORDER BY number
        """,
    ]
