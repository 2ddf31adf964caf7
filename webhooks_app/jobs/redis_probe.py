"""Whether what answers at an address speaks TLS, or Redis without it: asked where a check fails."""

import socket
import ssl
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.connection import SSLConnection

from webhooks_app.jobs.redis_diagnosis import NO_TLS_THERE, TLS_THERE, RedisProblem

_SECONDS = 1.0


def find_tls_mismatch(redis: Redis) -> RedisProblem | None:
    """Return the problem where only one side uses TLS, this client or Redis; None where that is not so.

    Behind Sentinels nothing is probed, as it is they who know where Redis is.
    """
    pool: Any = redis.connection_pool
    host, port = pool.connection_kwargs.get("host"), pool.connection_kwargs.get("port")
    if host is None or port is None:
        return None
    is_tls = issubclass(pool.connection_class, SSLConnection)
    with suppress(OSError):
        if is_tls and _speaks_plainly(host, port):
            return NO_TLS_THERE
        if not is_tls and _speaks_tls(host, port):
            return TLS_THERE
    return None


def _speaks_plainly(host: str, port: int) -> bool:
    with socket.create_connection((host, port), _SECONDS) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(1) in (b"+", b"-")


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent
    with socket.create_connection((host, port), _SECONDS) as connection:
        try:
            context.wrap_socket(connection, server_hostname=host).close()
        except ssl.SSLError as error:  # an alert is TLS, too
            return "ALERT" in (error.reason or "")
    return True
