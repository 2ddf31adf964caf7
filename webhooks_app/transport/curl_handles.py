"""Make libcurl's handles, with all their options, and read what it says of a transfer that ended."""

import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pycurl

from webhooks_app.core.outcomes import Timings
from webhooks_app.transport.connection_guard import ConnectionGuard
from webhooks_app.transport.exchange import CurlResult, Exchange
from webhooks_app.transport.sender_limits import ConnectionLimits

# Small, as libcurl reads ten of them and more in one go from a server that never stops sending.
READ_BYTES = 4096

# The least that libcurl takes. Each handle keeps such a buffer once it has sent anything, and a burst leaves
# hundreds of handles behind; most requests fit into it, others are sent in several writes.
_WRITE_BYTES = 16 * 1024


def initialize_libcurl() -> None:
    """Have libcurl and its OpenSSL load what they keep for good: 4 MiB, which forks of this process share.

    No handle, connection or thread is left.
    """
    pycurl.CurlMulti().close()


def new_multi(
    limits: ConnectionLimits,
    *,
    on_socket: Callable[[int, int, Any, Any], None],
    on_timer: Callable[[int], None],
) -> Any:
    """Return a pycurl.CurlMulti that keeps connections and shares those of HTTP/2."""
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_SOCKETFUNCTION, on_socket)
    multi.setopt(pycurl.M_TIMERFUNCTION, on_timer)
    multi.setopt(pycurl.M_MAXCONNECTS, limits.idle)
    multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, limits.per_host)
    multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, limits.total)
    multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
    return multi


def new_handle(
    exchange: Exchange, guard: ConnectionGuard, *, ca_bundle: str, allow_http: bool, longest_seconds: float
) -> Any:
    """Return a pycurl.Curl that fills `exchange`; URL, headers, body and time-out are set per request."""
    curl = pycurl.Curl()
    _set_callbacks(curl, exchange, guard)
    _set_http_options(curl, allow_http)
    curl.setopt(pycurl.MAXLIFETIME_CONN, max(1, math.ceil(longest_seconds)))
    _verify_tls_certificates(curl, ca_bundle)
    return curl


def _set_callbacks(curl: Any, exchange: Exchange, guard: ConnectionGuard) -> None:
    curl.setopt(pycurl.HEADERFUNCTION, exchange.take_header)
    curl.setopt(pycurl.WRITEFUNCTION, exchange.take_body)
    curl.setopt(pycurl.DEBUGFUNCTION, exchange.take_trace)
    curl.setopt(pycurl.OPENSOCKETFUNCTION, partial(guard.open_socket, exchange))
    curl.setopt(pycurl.RESOLVER_START_FUNCTION, exchange.check_resolving)
    curl.setopt(pycurl.PREREQFUNCTION, partial(guard.check_connection, exchange))


def _set_http_options(curl: Any, allow_http: bool) -> None:
    curl.setopt(pycurl.POST, 1)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.PATH_AS_IS, 1)
    curl.setopt(pycurl.FOLLOWLOCATION, 0)
    curl.setopt(pycurl.PROXY, "")  # also shuts out the proxy variables of the environment
    curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS | (allow_http and pycurl.PROTO_HTTP))
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.BUFFERSIZE, READ_BYTES)
    curl.setopt(pycurl.UPLOAD_BUFFERSIZE, _WRITE_BYTES)


def _verify_tls_certificates(curl: Any, ca_bundle: str) -> None:
    curl.setopt(pycurl.CAINFO, os.fsencode(ca_bundle))  # as text it would have to be ASCII
    curl.setopt(pycurl.SSL_VERIFYPEER, 1)
    curl.setopt(pycurl.SSL_VERIFYHOST, 2)


def result_of(curl: Any, code: int, message: str) -> CurlResult:
    """Return what libcurl says of a transfer that ended with `code`, a CURLE_ number."""
    return CurlResult(
        code=code,
        message=message,
        status=curl.getinfo(pycurl.RESPONSE_CODE),
        os_error=curl.getinfo(pycurl.OS_ERRNO) if code else 0,
        announced_bytes=curl.getinfo(pycurl.CONTENT_LENGTH_DOWNLOAD_T) if code else -1,
        remote_address=curl.getinfo(pycurl.PRIMARY_IP),
    )


def timings_of(curl: Any, exchange: Exchange) -> Timings:
    """Return the timings of a transfer that ended, all counted from the start of its request."""
    prior_us = exchange.prior_us
    timings = Timings(dns_us=prior_us, total_us=curl.getinfo(pycurl.TOTAL_TIME_T) + prior_us)
    if exchange.headers:
        timings.first_byte_us = curl.getinfo(pycurl.STARTTRANSFER_TIME_T) + prior_us
    if exchange.has_opened_socket:  # otherwise it went over a connection that was open already
        connect_us, tls_us = curl.getinfo(pycurl.CONNECT_TIME_T), curl.getinfo(pycurl.APPCONNECT_TIME_T)
        timings.dns_us += curl.getinfo(pycurl.NAMELOOKUP_TIME_T)
        timings.connect_us = connect_us and connect_us + prior_us
        timings.tls_us = tls_us and tls_us + prior_us
    return timings
