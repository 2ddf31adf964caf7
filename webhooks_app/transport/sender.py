"""HTTP requests by libcurl's multi interface: hundreds in flight in one thread, connections kept.

The only importer of pycurl. Each request has one deadline for everything (DNS, connect, TLS, body); no
redirect is followed, no proxy or .netrc read, no body decoded.

What is guaranteed of addresses: a name is looked up by us (`names`), and one forbidden address in its answer
refuses the whole name. libcurl gets the judged addresses with the request and may look up nothing itself, so
nothing changes in between (DNS rebinding). Before each socket it asks about the very address again; once
refused, the request gets no further socket. A kept connection leads to the permitted address that it was
opened to, and serves further requests only while the name's present answer is permitted, too.

A kept connection that its server has closed in the meantime is replaced unseen: a request that got no byte of
an answer on a used connection is sent once more, on a new one. The receiver may see one attempt twice, with
the same id, which at-least-once delivery allows. Of HTTP/2, libcurl also repeats, at most five times, what a
server says it did not process. A connection on which something came in unasked serves no other request,
or those bytes would pass for an answer.
"""

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import certifi
import pycurl

from webhooks_app.core.outcomes import Outcome, OutcomeClass, Timings
from webhooks_app.transport.curl_errors import CurlCode, timeout_sentence
from webhooks_app.transport.exchange import CurlResult, Exchange
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolved_target import ResolvedTargets, Target, target_of
from webhooks_app.transport.resolver import REFRESH_SECONDS, LookupResult, Resolver
from webhooks_app.transport.sockets import READ, IdleConnections, NewSocket, Watchdog, WatchedSockets
from webhooks_app.transport.target_policy import TargetPolicy

IDLE_CONNECTIONS = 1024
# Of one host: as many as the largest window of one endpoint. What waits for a connection inside libcurl costs
# each request that ends a walk over all that wait (docs/decisions/0009).
CONNECTIONS_PER_HOST = 256
# Small, as libcurl reads ten of them and more in one go from a server that never stops sending.
READ_BYTES = 4096
_FLOODED = (
    OutcomeClass.INVALID_RESPONSE,
    "Over 1 MiB came in that is neither a response's head nor its body, so the connection was closed.",
)


@dataclass(slots=True)
class _Waiting:
    """A request whose host name is being looked up."""

    key: Any
    request: Request
    place: Target
    since: float

    @property
    def deadline(self) -> float:
        return self.since + self.request.timeout_ms / 1000


class Sender:
    """Sends requests side by side. One per process; not for use from several threads."""

    def __init__(self, *, policy: TargetPolicy, ca_bundle: str | None, capacity: int) -> None:
        self._policy = policy
        self._ca_bundle = ca_bundle or certifi.where()
        self._capacity = capacity
        self._multi = self._new_multi()
        # A handle keeps its exchange, so that its callbacks are set once.
        self._idle: list[tuple[Any, Exchange]] = []
        self._flying: dict[Any, Exchange] = {}
        self._settled: list[tuple[Any, Outcome]] = []  # without libcurl, and not yet told
        self._sockets = WatchedSockets()
        self._kept = IdleConnections()
        self._watchdog = Watchdog(self._sockets)
        self._shared: set[int] = set()  # connections of several requests, one of which has just ended
        self._timer_at = math.inf
        self._lookups = Resolver()
        self._sockets.always(self._lookups)
        self._waiting: list[_Waiting] = []
        self._look_again_at = math.inf
        self._routes = ResolvedTargets(policy)

    @property
    def in_flight(self) -> int:
        return len(self._flying) + len(self._waiting) + len(self._settled)

    @property
    def free(self) -> int:
        return self._capacity - self.in_flight

    def start(self, key: Any, request: Request) -> None:
        """Begins the request; `poll` returns its outcome under `key`."""
        place = target_of(request.url)
        if place.is_address:
            self._send(key, request, place)
            return
        asked = _Waiting(key, request, place, time.monotonic())
        if answer := self._lookups.known(place.host):
            self._send_to(answer, asked)
        else:
            self._waiting.append(asked)
            self._look_again_at = min(self._look_again_at, asked.deadline, asked.since + REFRESH_SECONDS)

    def poll(self, wait_ms: int) -> list[tuple[Any, Outcome]]:
        """Works on what is in flight for up to `wait_ms`; the outcomes that came, with their keys."""
        self._run_timers()
        finished = self._finished() + self._finished_behind()
        if finished or not self.in_flight:
            return finished
        for descriptor, events in self._sockets.wait(self._wait_seconds(wait_ms)):
            if descriptor == self._lookups.fileno():
                self._take_answers()
            else:
                self._work_on(descriptor, events)
        self._run_timers()
        return self._finished() + self._finished_behind()

    def abandon(self) -> None:
        """Drops what is in flight; its outcomes will not be known."""
        for curl in self._flying:
            self._multi.remove_handle(curl)
            curl.close()
        for dropped in (self._flying, self._waiting, self._settled):
            dropped.clear()
        self._look_again_at = math.inf

    def close(self) -> None:
        self.abandon()
        while self._idle:
            self._idle.pop()[0].close()
        self._multi.close()
        self._watchdog.close()
        self._sockets.close()
        self._lookups.close()

    # Names

    def _take_answers(self) -> None:
        """Sends what was waiting for a name that is known now, and gives up what waited to its deadline."""
        answers, now = self._lookups.collect(), time.monotonic()
        waiting, self._waiting = self._waiting, []
        for asked in waiting:
            if asked.deadline <= now:
                self._settle_unsent(asked, *self._why_unsent(asked))
            elif answer := self._answer_for(asked, answers, now):
                self._send_to(answer, asked)
            else:
                self._waiting.append(asked)
        until = (asked.deadline for asked in self._waiting)
        self._look_again_at = min(*until, now + REFRESH_SECONDS) if self._waiting else math.inf

    def _answer_for(
        self, asked: _Waiting, answers: dict[str, LookupResult], now: float
    ) -> LookupResult | None:
        host = asked.place.host
        return answers.get(host) or self._lookups.known(host, waited=now - asked.since)

    def _why_unsent(self, asked: _Waiting) -> tuple[OutcomeClass, str]:
        timeout_ms = asked.request.timeout_ms
        kind, stage = self._lookups.why_missing(
            asked.place.host, since=asked.since, patience=timeout_ms / 1000
        )
        return kind, timeout_sentence(timeout_ms, stage)

    def _send_to(self, answer: LookupResult, asked: _Waiting) -> None:
        route = self._routes.by(answer, asked.place)
        if route.refusal:
            self._settle_unsent(asked, *route.refusal)
        else:
            waited = time.monotonic() - asked.since
            self._send(asked.key, asked.request, asked.place, waited=waited, resolved=route.resolved)

    def _settle_unsent(self, asked: _Waiting, kind: OutcomeClass, detail: str) -> None:
        waited_us = round((time.monotonic() - asked.since) * 1_000_000)
        timings = Timings(dns_us=waited_us, total_us=waited_us)
        self._settled.append((asked.key, Outcome(kind, detail, timings=timings)))

    # libcurl

    def _send(
        self, key: Any, request: Request, place: Target, *, waited: float = 0.0, resolved: str = ""
    ) -> None:
        curl, exchange = self._idle.pop() if self._idle else self._new_handle()
        exchange.begin(key, request, place, round(waited * 1_000_000))
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.HTTPHEADER, request.headers)
        curl.setopt(pycurl.POSTFIELDS, request.body)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, request.timeout_ms - round(waited * 1000)))
        if resolved:
            curl.setopt(pycurl.RESOLVE, [resolved])
        self._flying[curl] = exchange
        self._multi.add_handle(curl)

    def _new_multi(self) -> Any:
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        multi.setopt(pycurl.M_MAXCONNECTS, IDLE_CONNECTIONS)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, CONNECTIONS_PER_HOST)
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        return multi

    def _new_handle(self) -> tuple[Any, Exchange]:
        curl, exchange = pycurl.Curl(), Exchange()
        curl.setopt(pycurl.HEADERFUNCTION, exchange.take_header)
        curl.setopt(pycurl.WRITEFUNCTION, exchange.take_body)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, partial(self._open_socket, exchange))
        curl.setopt(pycurl.RESOLVER_START_FUNCTION, exchange.may_resolve)
        curl.setopt(pycurl.PREREQFUNCTION, partial(self._may_use, exchange))
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")  # also shuts out the proxy variables of the environment
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS | (self._policy.allow_http and pycurl.PROTO_HTTP))
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        curl.setopt(pycurl.CAINFO, self._ca_bundle)
        curl.setopt(pycurl.SSL_VERIFYPEER, 1)
        curl.setopt(pycurl.SSL_VERIFYHOST, 2)
        curl.setopt(pycurl.TCP_NODELAY, 1)
        curl.setopt(pycurl.BUFFERSIZE, READ_BYTES)
        return curl, exchange

    def _open_socket(self, exchange: Exchange, _purpose: int, address: Any) -> Any:
        if not exchange.allows(address.addr[0], address.addr[1], self._policy):
            return pycurl.SOCKET_BAD
        self._sockets.forget_unwatched()
        try:
            return NewSocket(address.family, address.socktype, address.protocol)
        except OSError as error:
            problem = f"This platform could not open a socket: {error.strerror}."
            exchange.refusal = (OutcomeClass.PLATFORM, problem)
            return pycurl.SOCKET_BAD

    def _may_use(self, exchange: Exchange, address: str, _own: str, port: int, own_port: int) -> int:
        """Whether libcurl may send over the connection that it chose."""
        if exchange.has_opened:
            return int(pycurl.PREREQFUNC_OK)
        if not exchange.was_sent and self._kept.is_quiet((address, port, own_port)):
            exchange.was_sent = True
            return int(pycurl.PREREQFUNC_OK)
        # A second kept connection might break, too, and so on: libcurl would try five.
        exchange.needs_new_connection = True
        return int(pycurl.PREREQFUNC_ABORT)

    def _watch(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            self._sockets.unwatch(descriptor)
        else:
            self._sockets.watch(descriptor, what)

    def _set_timer(self, milliseconds: int) -> None:
        self._timer_at = time.monotonic() + milliseconds / 1000 if milliseconds >= 0 else math.inf

    def _run_timers(self) -> None:
        now = time.monotonic()
        if self._timer_at <= now:
            self._timer_at = math.inf
            self._drive(pycurl.SOCKET_TIMEOUT, 0)
        if self._look_again_at <= now:
            self._take_answers()

    def _wait_seconds(self, wait_ms: int) -> float:
        until = min(self._timer_at, self._look_again_at) - time.monotonic()
        return max(0.0, min(wait_ms / 1000, until))

    def _finished(self) -> list[tuple[Any, Outcome]]:
        finished, self._settled = self._settled, []
        waiting = 1
        while waiting:
            waiting, succeeded, failed = self._multi.info_read()
            finished.extend(self._settle(curl, 0, "") for curl in succeeded)
            for curl, code, message in failed:
                if self._flying[curl].needs_new_connection:
                    self._send_afresh(curl)
                else:
                    finished.append(self._settle(curl, code, message))
        return finished

    def _finished_behind(self) -> list[tuple[Any, Outcome]]:
        """What has come in behind the ends of others on the same connection.

        libcurl read it from the socket along with them, and forgets that it has it: nothing more becomes
        readable, and those requests would run into their deadlines.
        """
        finished: list[tuple[Any, Outcome]] = []
        while self._shared:
            descriptors, self._shared = self._shared, set()
            for descriptor in descriptors:
                self._drive(descriptor, READ)
            finished += self._finished()
        return finished

    def _send_afresh(self, curl: Any) -> None:
        """Over a new connection; libcurl has closed the one in question."""
        exchange = self._flying[curl]
        exchange.needs_new_connection, exchange.is_sent_afresh = False, True
        exchange.waited_us += curl.getinfo(pycurl.TOTAL_TIME_T)
        self._multi.remove_handle(curl)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, exchange.request.timeout_ms - exchange.waited_us // 1000))
        curl.setopt(pycurl.FRESH_CONNECT, 1)
        self._multi.add_handle(curl)

    def _work_on(self, descriptor: int, events: int) -> None:
        seconds = self._drive(descriptor, events)
        if events & READ and self._sockets.is_flooded(descriptor, seconds):
            self._cut_off(descriptor)

    def _drive(self, descriptor: int, events: int) -> float:
        """Lets libcurl work, under the watchdog's eyes; how long that took, in seconds."""
        began_at = time.monotonic()
        self._watchdog.begin(began_at)
        self._multi.socket_action(descriptor, events)
        self._watchdog.end()
        return time.monotonic() - began_at

    def _cut_off(self, descriptor: int) -> None:
        """Ends what runs over this connection, and with the last of it the connection."""
        self._settled = self._finished()
        flying = [curl for curl in self._flying if curl.getinfo(pycurl.ACTIVESOCKET) == descriptor]
        for curl in flying:
            self._flying[curl].refusal = _FLOODED
            curl.setopt(pycurl.FORBID_REUSE, 1)
            self._settled.append(self._settle(curl, CurlCode.RECV_ERROR, ""))
            curl.setopt(pycurl.FORBID_REUSE, 0)

    def _note_use(self, curl: Any, exchange: Exchange, address: str) -> None:
        if exchange.is_multiplexed:
            descriptor = curl.getinfo(pycurl.ACTIVESOCKET)
            self._shared.add(descriptor)
            self._sockets.renew(descriptor)
        elif exchange.has_opened and (descriptor := curl.getinfo(pycurl.ACTIVESOCKET)) >= 0:
            ends = address, exchange.place.port, curl.getinfo(pycurl.LOCAL_PORT)
            self._kept.keep(ends, descriptor)
        if exchange.is_sent_afresh:
            curl.setopt(pycurl.FRESH_CONNECT, 0)

    def _settle(self, curl: Any, code: int, message: str) -> tuple[Any, Outcome]:
        exchange = self._flying.pop(curl)
        outcome = exchange.outcome(_end(curl, code, message), _timings(curl, exchange))
        self._note_use(curl, exchange, outcome.remote_address)
        self._multi.remove_handle(curl)
        self._idle.append((curl, exchange))
        curl.setopt(pycurl.POSTFIELDS, b"")  # hundreds lie idle after a burst, each with up to 256 KiB
        return exchange.finish(), outcome


def _end(curl: Any, code: int, message: str) -> CurlResult:
    return CurlResult(
        code=code,
        message=message,
        status=curl.getinfo(pycurl.RESPONSE_CODE),
        os_error=curl.getinfo(pycurl.OS_ERRNO) if code else 0,
        announced_bytes=curl.getinfo(pycurl.CONTENT_LENGTH_DOWNLOAD_T) if code else -1,
        remote_address=curl.getinfo(pycurl.PRIMARY_IP),
    )


def _timings(curl: Any, exchange: Exchange) -> Timings:
    waited_us = exchange.waited_us
    timings = Timings(dns_us=waited_us, total_us=curl.getinfo(pycurl.TOTAL_TIME_T) + waited_us)
    if exchange.headers:
        timings.first_byte_us = curl.getinfo(pycurl.STARTTRANSFER_TIME_T) + waited_us
    if exchange.has_opened:  # otherwise it went over a connection that was open already
        connect_us, tls_us = curl.getinfo(pycurl.CONNECT_TIME_T), curl.getinfo(pycurl.APPCONNECT_TIME_T)
        timings.dns_us += curl.getinfo(pycurl.NAMELOOKUP_TIME_T)
        timings.connect_us = connect_us and connect_us + waited_us
        timings.tls_us = tls_us and tls_us + waited_us
    return timings
