"""Run requests over libcurl's multi interface, and take their outcomes.

A connection that its server has closed in the meantime is replaced unseen: a request that got no byte of a
response on a reused connection is sent once more, on a new one. The receiver may see one attempt twice, with
the same id, which at-least-once delivery allows. Of HTTP/2, libcurl also repeats, at most five times, what a
server says it did not process. A connection on which unsolicited bytes arrived serves no other request, or
they would pass for a response. A request that fails while it is being sent is sent again a few times, as
libcurl then does not read what the server may have answered before it closed the connection.
"""

import errno
import math
import time
from typing import Any

import pycurl

from webhooks_app.core.outcomes import Outcome
from webhooks_app.transport import curl_handles, flood_guard, repeated_requests
from webhooks_app.transport.connection_guard import ConnectionGuard
from webhooks_app.transport.curl_errors import CurlCode
from webhooks_app.transport.exchange import Exchange
from webhooks_app.transport.idle_connections import IdleConnections
from webhooks_app.transport.own_shortages import is_out_of_ports
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolved_target import ResolvedTarget, Target
from webhooks_app.transport.sender_limits import SenderLimits
from webhooks_app.transport.target_policy import TargetPolicy
from webhooks_app.transport.tls_servers import TlsServers
from webhooks_app.transport.tls_watchdog import TlsHandshakeWatchdog
from webhooks_app.transport.watched_sockets import READ, WatchedSockets


class Transfers:
    """Drive libcurl. The owner waits on `sockets`, and until `timer_at`, and says when either is due.

    `in_flight`: the transfers under way, by their handles. `completed`: outcomes that the next
    `take_completed` returns, with their keys.
    """

    def __init__(
        self, policy: TargetPolicy, ca_bundle: str, sockets: WatchedSockets, limits: SenderLimits
    ) -> None:
        self.in_flight: dict[Any, Exchange] = {}
        self.completed: list[tuple[Any, Outcome]] = []
        self.timer_at = math.inf  # seconds of the monotonic clock
        self._policy = policy
        self._ca_bundle = ca_bundle
        self._longest_connection_seconds = limits.connections.longest_seconds
        self._sockets = sockets
        self._idle_connections = IdleConnections()
        self._guard = ConnectionGuard(policy, sockets, self._idle_connections)
        self._watchdog = TlsHandshakeWatchdog(sockets, limits.floods)
        # A handle keeps its exchange, so that its callbacks are set once.
        self._idle_handles: list[tuple[Any, Exchange]] = []
        # Descriptors of connections that several requests share, of which one has just ended.
        self._shared: set[int] = set()
        self._tls_servers = TlsServers()
        self._flooded = flood_guard.refusal(limits.floods)
        self._multi = curl_handles.new_multi(
            limits.connections, on_socket=self._watch, on_timer=self._set_timer
        )

    def start(
        self,
        key: Any,
        request: Request,
        target: Target,
        *,
        waited_seconds: float = 0.0,
        resolved: ResolvedTarget | None = None,
    ) -> None:
        """Begin the request.

        `waited_seconds`: seconds of its time-out that are spent. `resolved`: where its name leads.
        """
        curl, exchange = self._idle_handles.pop() if self._idle_handles else self._new_handle()
        exchange.start(key, request, target, round(waited_seconds * 1_000_000))
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.HTTPHEADER, request.headers)
        curl.setopt(pycurl.POSTFIELDS, request.body)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, request.timeout_ms - round(waited_seconds * 1000)))
        self._trace(curl, exchange, target.is_tls and not self._tls_servers.is_answering(target))
        exchange.is_certificate_asked = exchange.is_traced and self._tls_servers.has_asked(target)
        if resolved:
            curl.setopt(pycurl.RESOLVE, [resolved.curl_resolve])  # which libcurl forgets with each request
            if resolved is not exchange.resolved:
                exchange.resolved = resolved
                curl.setopt(pycurl.CONNECT_TO, [resolved.curl_connect_to])
        self.in_flight[curl] = exchange
        self._multi.add_handle(curl)

    def handle_ready(self, descriptor: int, events: int) -> None:
        """Let libcurl read or write, and cut off a connection that floods."""
        seconds = self._drive(descriptor, events)
        if events & READ and self._sockets.is_flooded(descriptor, seconds):
            self._cut_off(descriptor)

    def handle_timer(self) -> None:
        self.timer_at = math.inf
        self._drive(pycurl.SOCKET_TIMEOUT, 0)

    def take_completed(self) -> list[tuple[Any, Outcome]]:
        """Return the outcomes that came, with their keys.

        libcurl reads what comes in behind the end of a response on a shared connection along with that end,
        and forgets that it has it: nothing more becomes readable, and the other requests would run into their
        deadlines. So such a connection is read once more.
        """
        completed = self._take_ended()
        while self._shared:
            descriptors, self._shared = self._shared, set()
            for descriptor in descriptors:
                self._drive(descriptor, READ)
            completed += self._take_ended()
        return completed

    def abandon(self) -> None:
        """Drop what is in flight; its outcomes will not be known."""
        for curl in self.in_flight:
            self._multi.remove_handle(curl)
            curl.close()
        self.in_flight.clear()
        self.completed.clear()

    def close(self) -> None:
        self.abandon()
        while self._idle_handles:
            self._idle_handles.pop()[0].close()
        self._multi.close()
        self._watchdog.close()

    def _new_handle(self) -> tuple[Any, Exchange]:
        exchange = Exchange()
        curl = curl_handles.new_handle(
            exchange,
            self._guard,
            ca_bundle=self._ca_bundle,
            allow_http=self._policy.allow_http,
            longest_seconds=self._longest_connection_seconds,
        )
        return curl, exchange

    def _watch(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            self._sockets.unwatch(descriptor)
        else:
            self._sockets.watch(descriptor, what)

    def _set_timer(self, milliseconds: int) -> None:
        self.timer_at = time.monotonic() + milliseconds / 1000 if milliseconds >= 0 else math.inf

    def _drive(self, descriptor: int, events: int) -> float:
        """Let libcurl work, with the watchdog told of it; return how long that took, in seconds."""
        began_at = time.monotonic()
        self._idle_connections.calls += 1
        self._watchdog.note_call(began_at)
        self._multi.socket_action(descriptor, events)
        self._watchdog.note_return()
        return time.monotonic() - began_at

    def _take_ended(self) -> list[tuple[Any, Outcome]]:
        ended, self.completed = self.completed, []
        waiting = 1
        while waiting:
            waiting, succeeded, failed = self._multi.info_read()
            ended.extend(self._complete(curl, 0, "") for curl in succeeded)
            for curl, code, message in failed:
                if repeated_requests.is_worth_another_connection(curl, self.in_flight[curl], code):
                    self._send_again(curl)
                else:
                    ended.append(self._complete(curl, code, message))
        return ended

    def _send_again(self, curl: Any) -> None:
        """Send over a new connection; libcurl has closed the one in question."""
        exchange = self.in_flight[curl]
        exchange.needs_new_connection, exchange.sent_again = False, exchange.sent_again + 1
        exchange.unread_check = None
        exchange.prior_us += curl.getinfo(pycurl.TOTAL_TIME_T)
        self._multi.remove_handle(curl)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, exchange.request.timeout_ms - exchange.prior_us // 1000))
        curl.setopt(pycurl.FRESH_CONNECT, 1)
        self._trace(curl, exchange, True)  # the server's alert may be lost once more
        self._multi.add_handle(curl)

    def _trace(self, curl: Any, exchange: Exchange, is_traced: bool) -> None:
        """Have libcurl tell of its work, or no longer; see `Exchange.take_trace`."""
        if is_traced is not exchange.is_traced:
            curl.setopt(pycurl.VERBOSE, is_traced)
            exchange.is_traced = is_traced

    def _cut_off(self, descriptor: int) -> None:
        """End what runs over this connection, and with the last of it the connection."""
        self.completed = self._take_ended()
        cut_off = [curl for curl in self.in_flight if curl.getinfo(pycurl.ACTIVESOCKET) == descriptor]
        for curl in cut_off:
            self.in_flight[curl].refusal = self._flooded
            curl.setopt(pycurl.FORBID_REUSE, 1)
            self.completed.append(self._complete(curl, CurlCode.RECV_ERROR, ""))
            curl.setopt(pycurl.FORBID_REUSE, 0)

    def _complete(self, curl: Any, code: int, message: str) -> tuple[Any, Outcome]:
        exchange = self.in_flight.pop(curl)
        if message and exchange.resolved and not exchange.target.is_address:
            message = exchange.resolved.name_host(message, exchange.target)
        result, timings = curl_handles.result_of(curl, code, message), curl_handles.timings_of(curl, exchange)
        if result.os_error == errno.EADDRNOTAVAIL and not is_out_of_ports(exchange.tried_address):
            result.os_error = errno.ENETUNREACH
        outcome = exchange.outcome(result, timings)
        self._note_connection(curl, exchange, outcome.remote_address)
        self._tls_servers.note(
            exchange.target, has_answered=result.status > 0, has_asked=exchange.is_certificate_asked
        )
        self._multi.remove_handle(curl)
        self._idle_handles.append((curl, exchange))
        curl.setopt(pycurl.POSTFIELDS, b"")  # hundreds lie idle after a burst, each with up to 256 KiB
        return exchange.finish(), outcome

    def _note_connection(self, curl: Any, exchange: Exchange, address: str) -> None:
        """Remember the connection of a request that ended for those that share it or come after it."""
        if exchange.is_multiplexed:
            descriptor = curl.getinfo(pycurl.ACTIVESOCKET)
            self._shared.add(descriptor)
            self._sockets.restart_flood_count(descriptor)
        elif exchange.has_opened_socket and (descriptor := curl.getinfo(pycurl.ACTIVESOCKET)) >= 0:
            ends = address, exchange.target.port, curl.getinfo(pycurl.LOCAL_PORT)
            self._idle_connections.add(ends, descriptor)
        if exchange.sent_again:
            curl.setopt(pycurl.FRESH_CONNECT, 0)
