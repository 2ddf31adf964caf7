"""Connections to Redis, each with an end to every wait, directly or by way of Sentinels."""

import weakref
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import SSLConnection, parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

from webhooks_app.core import redis_url


def connect(url: str, *, timeout_seconds: float) -> Redis:
    """Return a client that connects when it is first used and waits no longer than that for each answer.

    It tries nothing again by itself. Raises ValueError for a URL that the settings would have refused.
    """
    address = redis_url.parse(url)
    limits: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        # The third is begun by a command that servers before 6.0 and some proxies do not know: such a server
        # could not even say how old it is.
        "protocol": 2,
    }
    if address.service is None:
        return _closed_at_its_end(Redis.from_url(address.url, **limits))
    options: dict[str, Any] = parse_url(address.url)  # type: ignore[no-untyped-call]
    for name in ("host", "port"):
        options.pop(name, None)
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    tls = {name: value for name, value in options.items() if name.startswith("ssl")}
    log_in = dict(address.sentinel_log_in or {})
    sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]
        address.sentinels, sentinel_kwargs=limits | tls | log_in
    )
    primary: Redis = sentinels.master_for(address.service, redis_class=Redis, **limits, **options)
    return _closed_at_its_end(primary)


def _closed_at_its_end(redis: Redis) -> Redis:
    """Have the connections closed when nobody has the client any longer.

    The client does so itself, but where it is part of a cycle its sockets may be finalized before it.
    """
    weakref.finalize(redis, redis.connection_pool.disconnect)
    return redis
