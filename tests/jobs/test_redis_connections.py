import gc

import pytest
from redis import Redis

from webhooks_app.jobs import redis_connections


def test_a_client_that_nobody_has_leaves_no_connection_open(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Redis, "__del__")  # as where it comes behind those of its sockets
    client = redis_connections.connect(redis_url, timeout_seconds=30)
    client.ping()
    pool = client.connection_pool
    [connection] = pool._available_connections
    assert connection.is_connected
    client.cycle = client  # type: ignore[attr-defined]

    del client
    gc.collect()

    assert not connection.is_connected
