"""What all requests of an endpoint carry, stored once for all of its attempts to refer to."""

import logging
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from webhooks_app.db import bulk_sql, transient_errors
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.worker.claimed_delivery import ClaimedDelivery

log = logging.getLogger(__name__)

# An endpoint's id and its headers.
_Key = tuple[str, str]
# An endpoint that changes more often keeps its headers in its attempts, so that these rows stay few.
MOST_EACH = 100
_REMEMBERED = 10_000
_DIGEST_BYTES = 4

_FIELDS = {"endpoint_id": "text", "digest": "int", "headers": "text"}
# In one order, so that two workers do not wait for each other's.
_INSERT = bulk_sql.prepare_with_rows(
    """
    INSERT INTO constant_headers (endpoint_id, digest, headers)
    SELECT e.id, r.digest, r.headers FROM {rows} JOIN endpoints AS e ON e.id = r.endpoint_id
    WHERE (SELECT count(*) FROM constant_headers AS c WHERE c.endpoint_id = e.id) < :most
    ORDER BY e.id, r.digest
    ON CONFLICT DO NOTHING
    """,
    _FIELDS,
)
_SELECT = bulk_sql.prepare_with_rows(
    """
    SELECT c.endpoint_id, c.headers, c.digest FROM {rows}
    JOIN constant_headers AS c ON c.endpoint_id = r.endpoint_id AND c.digest = r.digest
    """,
    _FIELDS,
)


class StoredHeaders:
    """Which headers have their row, by what this process saw on disk; one per process.

    A database that lost what it had, as after a failover, has cut all connections: with the next one that is
    opened, nothing counts as known.
    """

    def __init__(
        self, database: WriteDatabase, *, most_each: int = MOST_EACH, remembered: int = _REMEMBERED
    ) -> None:
        """`most_each`: rows of an endpoint at most. `remembered`: about how many are known at once."""
        self._database = database.waiting_for_disk()
        self._most_each = most_each
        self._most_remembered = remembered
        self._digests: dict[_Key, int | None] = {}
        database.on_connect(self._digests.clear)

    def digests(self, deliveries: Iterable[ClaimedDelivery]) -> Mapping[_Key, int | None]:
        """Return by endpoint and headers the digest of the row; None where there is to be none.

        Writes those that this process has not seen yet, in a transaction of its own. Raises those
        DATABASE_ERRORS that are transient.
        """
        keys = {
            (each.endpoint_id, each.constant_headers)
            for each in deliveries
            if each.constant_headers is not None
        }
        if unknown := keys - self._digests.keys():
            if len(self._digests) > self._most_remembered:
                self._digests.clear()
                unknown = keys
            self._digests |= dict.fromkeys(unknown) | self._store_accepted(unknown)
        return self._digests

    def _store_accepted(self, keys: Collection[_Key]) -> dict[_Key, int]:
        """Store those that the database accepts; a refused one costs neither an outcome nor the others."""
        try:
            return self._store(keys)
        except DBAPIError as error:
            transient_errors.raise_if_transient(error)
            if len(keys) > 1:
                return {key: digest for each in keys for key, digest in self._store_accepted([each]).items()}
            [(endpoint_id, _)] = keys
            reason = transient_errors.reason(error)
            log.warning("headers_not_shared", extra={"endpoint_id": endpoint_id, "reason": reason})
            return {}

    def _store(self, keys: Collection[_Key]) -> dict[_Key, int]:
        rows: list[dict[str, Any]] = [
            {"endpoint_id": endpoint_id, "digest": _digest(headers), "headers": headers}
            for endpoint_id, headers in keys
        ]
        with self._database.begin() as connection:
            bulk_sql.run_with_rows(connection, _INSERT, rows, most=self._most_each)
            return _read(connection, rows)


def _read(connection: Connection, rows: list[dict[str, Any]]) -> dict[_Key, int]:
    stored = bulk_sql.run_with_rows(connection, _SELECT, rows)
    return {(endpoint_id, headers): digest for endpoint_id, headers, digest in stored}


def _digest(headers: str) -> int:
    return int.from_bytes(blake2b(headers.encode(), digest_size=_DIGEST_BYTES).digest(), "big", signed=True)
