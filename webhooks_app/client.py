"""The producer client: how an internal app hands over events.

This file needs `requests` and nothing else of the project, so it can be copied into another app as it is; for
that it is one file. As a package with an outbox it is the distribution in `clients/python`.

    with Client("https://webhooks.example.com", token) as client:
        client.send("batch-lifecycle", {"batch_id": "batch_1", "status": "succeeded"})

A Client may be used by many threads, and by the processes that are forked after it was made.
"""

import copy
import http.client
import io
import itertools
import json
import logging
import os
import random
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

__version__ = "1.3.0"

# To connect: time for a lost first packet to be sent again (after one second, then two: RFC 6298, section 2).
# For the answer: the platform waits up to five seconds for a busy database before it says 503.
DEFAULT_TIMEOUT = (3.3, 10.0)
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
# What the platform takes in one request.
LARGEST_BATCH = 1000
LARGEST_BATCH_BYTES = 4 * 1024 * 1024
LARGEST_EVENT_BYTES = 256 * 1024
# An answer holds what came of a batch, the catalog, or an event's deliveries: these take less than 200 bytes
# each, so that it is an event to 350,000 endpoints that could not be read. A larger one is not the API's.
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
# Kept for the next request; more threads than that are served all the same.
_IDLE_CONNECTIONS = 32

# What asks to wait, or says that something broke: the key makes each further try the same event. A request
# that took too long (408), one that came too early (425), too many (429), and whatever a proxy makes of a
# platform that is being restarted. What is not implemented (501, 505) will not be the next time.
_LATER = frozenset({408, 425, 429})
_NEVER = frozenset({501, 505})
# What may be the fault of one event, though nothing says of which. Of other refusals none is.
_OF_ONE_EVENT = frozenset({400, 409, 413, 422})
_NO_ANSWER = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_HEADERS = {"Content-Type": "application/json", "User-Agent": f"Avra-Client/{__version__}"}
_NO_TLS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
# What stands for a token in the documents.
PLACEHOLDER = "tok_…"
_POSITION = re.compile(r"events\[([0-9]+)\](?:\.(.+))?", re.DOTALL)

# By this name wherever the file is copied to.
log = logging.getLogger("avra_client")

T = TypeVar("T")


class SendError(Exception):
    """The event is not known to be accepted; sent again with this `idempotency_key` it cannot double.

    `may_be_accepted` is False where it certainly was not: nothing was sent, or every answer was a refusal.
    """

    idempotency_key = ""
    may_be_accepted = True


class Unavailable(SendError):
    """No answer, or one that says "later".

    `status` is the answer's, 0 where none came; `retry_after` the seconds that the platform asked for.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        retry_after: float | None = None,
        may_be_accepted: bool = True,
    ) -> None:
        super().__init__(message)
        self.status, self.retry_after, self.may_be_accepted = status, retry_after, may_be_accepted
        self._may_pass = True


class Rejected(SendError):
    """The platform refused the event (4xx) and would refuse it again.

    `field` is where the fault lies, such as `data.batch_id`; `code` is for programs, `message` for people.
    """

    may_be_accepted = False

    def __init__(self, status: int, code: str, message: str, field: str | None) -> None:
        super().__init__(f"{_at_its_place(message, field)} ({status} {code})")
        self.status, self.code, self.message, self.field = status, code, message, field

    @property
    def has_reason(self) -> bool:
        """Whether it is the API's refusal: that of something before it names none."""
        return self.code != f"http_{self.status}"

    @property
    def is_about_event(self) -> bool:
        """Whether the fault may be the event's own, and is neither the token's nor the address's."""
        return self.status in _OF_ONE_EVENT and (self.has_reason or self.status == 413)


def _at_its_place(message: str, field: str | None) -> str:
    """Return the sentence that both make: what is said of `data` has the field as its subject."""
    if not field:
        return message
    return f"{field} {message}" if message[:1].islower() else f"{field}: {message}"


class Unauthorized(Rejected):
    """The token is unknown, expired or revoked."""


class Forbidden(Rejected):
    """The token lacks the scope for this."""


class NotFound(Rejected):
    """There is no such event in the workspace; or `base_url` leads to something else."""


class KeyReused(Rejected):
    """The idempotency key belongs to another event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How a request is tried again: after pauses that double up to the longest, until the deadline.

    Rides out a restart of the platform; an outage is for the caller's own queue. `tries` is how many there
    are at most, where one ends earlier than the deadline. `now` and `sleep` are what tells and passes time.
    """

    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 3.0
    tries: int | None = None
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def pause_seconds(self, turn: int) -> float:
        """Return how long to wait after try number `turn`, counted from 0."""
        # Half of it for certain, the rest by chance, so that many clients do not come back at once.
        full = min(self.first_pause_seconds * 2.0 ** min(turn, 30), self.longest_pause_seconds)
        return full * random.uniform(0.5, 1)


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted event: its id, and how many deliveries it became.

    `is_repeat`: it was accepted before, under its key, and is not accepted again.
    """

    id: str
    deliveries: int
    is_repeat: bool = field(default=False, compare=False)


class JsonText(str):
    """JSON of an object, which is handed over as it is written. Raises ValueError for anything else."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        try:
            parsed = json.loads(text, parse_constant=_refuse_constant)
        except RecursionError as error:
            raise ValueError("data is nested too deeply") from error
        if not isinstance(parsed, dict):
            raise ValueError("data must be a JSON object")
        return super().__new__(cls, text)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to hand over; without an `idempotency_key` of its own it gets one."""

    type: str
    data: Mapping[str, Any] | JsonText
    idempotency_key: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one event of `send_many`: `sent`, or the `error` that kept it from being accepted."""

    idempotency_key: str
    sent: Sent | None = None
    error: SendError | None = None


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """How a delivery of an event stands; `state` is one of the platform's, such as `delivered`."""

    id: str
    endpoint_id: str
    state: str
    attempts: int
    last_status: int | None
    last_outcome: str | None
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventStatus:
    """An accepted event, and how its deliveries stand."""

    id: str
    type: str
    accepted_at: datetime
    deliveries: tuple[DeliveryStatus, ...]
    # How many more there will be: those of a large batch come moments after it was accepted.
    deliveries_to_come: int = 0

    @property
    def is_pending(self) -> bool:
        """Whether an attempt of any delivery is still to come."""
        return self.deliveries_to_come > 0 or any(each.state == "pending" for each in self.deliveries)


@dataclass(frozen=True, slots=True)
class _WholeAnswer:
    """An answer that has come whole."""

    url: str
    status_code: int
    headers: Mapping[str, str]
    content: bytes


class Client:
    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        deadline_seconds: float = 30.0,
        session: requests.Session | None = None,
        retries: Retries | None = None,
    ) -> None:
        """Raises ValueError for an unusable address or token.

        `timeout` is the seconds to connect and to wait for each part of the answer, `deadline_seconds` what
        all tries of one `send` may take, pauses included, and `retries` how long those pauses are. A
        `session` of your own is yours to close; without a DeadlineAdapter mounted, an answer that comes byte
        by byte outlasts the deadline there.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("base_url must look like https://webhooks.example.com")
        _check_token(token)
        self._url, self._address = base_url.rstrip("/") + "/api/v1", _without_password(parts)
        self._token = token
        self._timeout, self._deadline_seconds = timeout, deadline_seconds
        self._retries, self._tells_of_retries = retries or Retries(), True
        self._owns_session = session is None
        self._session, self._pid = session or _new_session(), os.getpid()

    def send(self, type: str, data: Mapping[str, Any], *, idempotency_key: str | None = None) -> Sent:
        """Hand over one event; raises SendError, and TypeError or ValueError for what is not JSON.

        Decimals are sent as they are written, to the last digit.
        """
        # When an answer is lost, the event may have been accepted. With a key each further try is the same
        # event, so one is made for each send(); only a caller's own key also covers the caller's repeats.
        key = uuid.uuid4().hex if idempotency_key is None else idempotency_key
        _check_key(key)
        body = event_json(type, data).encode()
        try:
            return self._call(
                "POST", "/events", _sent, body=body, headers={"Idempotency-Key": key}, until=self._deadline()
            )
        except SendError as error:
            error.idempotency_key = key
            raise

    def send_many(self, events: Iterable[NewEvent], *, deadline_seconds: float | None = None) -> list[Result]:
        """Hand over events, in as few requests as the platform's limits allow; return what came of each.

        One that is refused keeps no other from being accepted. When the platform is away, what is left is
        not sent, and its results say so. `deadline_seconds` is for the whole; unset, each request has the
        client's. Raises TypeError or ValueError for what is not JSON, before anything is sent.
        """
        until = None if deadline_seconds is None else self._retries.now() + deadline_seconds
        return _Batches(self, events, until).send()

    def status(self, event_id: str) -> EventStatus:
        """Read how an accepted event's deliveries stand. The token needs `events:read`. Raises SendError."""
        path = f"/events/{quote(event_id, safe='')}"
        return self._call("GET", path, _status, until=self._deadline())

    def status_by_key(self, idempotency_key: str) -> EventStatus:
        """Read an event by the key that it was sent under, such as its row's id in an outbox.

        The token needs `events:read`. Raises SendError; NotFound where none was accepted, or it has expired.
        """
        path = f"/events/by-key/{quote(idempotency_key, safe='')}"
        return self._call("GET", path, _status, until=self._deadline())

    def wait(self, event_id: str, *, timeout_seconds: float = 60.0) -> EventStatus:
        """Read how an event's deliveries stand once none is `pending`, or as they are when the time is over.

        What is `held` is not waited for: nothing is sent of it by itself. A platform that is away is tried
        for as long as it takes, too. The token needs `events:read`. Raises SendError.
        """
        path, now = f"/events/{quote(event_id, safe='')}", self._retries.now
        began = now()
        until = began + timeout_seconds
        for turn in itertools.count():
            # The last answer is waited for as each is, though the time may be over by then.
            found = self._call("GET", path, _status, until=max(until, now() + sum(self._timeout)))
            # A tenth of the time so far: what takes hours is not asked for each second.
            pause = min(max(self._retries.pause_seconds(turn), (now() - began) / 10), until - now())
            if not found.is_pending or pause <= 0:
                return found
            self._retries.sleep(pause)
        raise AssertionError("unreachable")

    def event_types(self) -> frozenset[str]:
        """Read the names of the catalog's event types. Raises SendError."""
        return self._call("GET", "/event-types", _event_types, until=self._deadline())

    def limited_to(self, tries: int) -> Self:
        """Return this client, on the same connections, with so many tries of a request at most.

        For a caller that goes on trying by itself, and has to notice meanwhile that it should stop; it also
        says by itself what it waits for, so this client logs nothing.
        """
        limited = copy.copy(self)
        limited._retries, limited._tells_of_retries = replace(self._retries, tries=tries), False
        return limited

    def close(self) -> None:
        if self._owns_session:
            self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send_batch(self, bodies: Sequence[bytes], until: float | None) -> Sequence[Sent]:
        def read(response: _WholeAnswer) -> Sequence[Sent]:
            return _all_sent(response, len(bodies))

        body = b'{"events": [%b]}' % b",".join(bodies)
        deadline = self._deadline() if until is None else min(until, self._deadline())
        return self._call("POST", "/events/batch", read, body=body, until=deadline)

    def _deadline(self) -> float:
        return self._retries.now() + self._deadline_seconds

    def _call(
        self,
        method: str,
        path: str,
        read: Callable[[_WholeAnswer], T],
        *,
        until: float,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Return what `read` makes of the answer, after as many tries as it takes. Raises SendError."""
        may_be_accepted, retries, began = False, self._retries, self._retries.now()
        for turn in itertools.count():
            try:
                seconds = max(0.01, until - retries.now())
                return read(self._request(method, path, body, headers or {}, seconds))
            except SendError as error:
                may_be_accepted = error.may_be_accepted = may_be_accepted or error.may_be_accepted
                if not isinstance(error, Unavailable) or not error._may_pass:
                    raise
                pause = max(retries.pause_seconds(turn), error.retry_after or 0)
                if turn + 1 == retries.tries or retries.now() + pause >= until:
                    if turn:
                        error.add_note(f"Tried {turn + 1} times in {retries.now() - began:.0f} s.")
                    raise
                if turn == 0 and self._tells_of_retries:
                    log.warning("%s Trying again for up to %.0f s.", error, until - retries.now())
            retries.sleep(pause)
        raise AssertionError("unreachable")

    def _request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> _WholeAnswer:
        connect, read = self._timeout
        try:
            with (
                answered_within(seconds),
                self._own_session().request(
                    method,
                    self._url + path,
                    data=body or None,
                    headers={**_HEADERS, **headers},
                    auth=self._authorize,
                    timeout=(min(connect, seconds), min(read, seconds)),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                content = read_whole(response)
        except TooLarge as error:
            raise SendError(f"{error}; check base_url.") from None
        # These sentences say all there is to know, so the exceptions that led to them are left out.
        except _NO_ANSWER as error:
            message = unanswered(self._address, why_unanswered(error))
            unavailable = Unavailable(message, may_be_accepted=not _was_unconnected(error))
            unavailable._may_pass = not _is_misdirected(error)
            raise unavailable from None
        except requests.RequestException as error:
            message = f"The request to {self._address} failed ({type(error).__name__}); check base_url."
            raise SendError(message) from None
        return _WholeAnswer(self._address, response.status_code, response.headers, content)

    def _own_session(self) -> requests.Session:
        """Return the session; in a process that was forked meanwhile, one of its own."""
        if self._owns_session and self._pid != os.getpid():
            self._inherited = self._session  # closed by nobody here: the parent goes on with its connections
            self._session, self._pid = _new_session(), os.getpid()
        return self._session

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Called as `auth`: a header that is merely given yields to an entry in ~/.netrc.
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Batches:
    """Events on their way in batches: what is refused is taken out, and the rest goes on without it.

    A batch is accepted whole or not at all. Where one event is at fault, those before it go next; where it
    is not said which, half of them. So ten thousand of which many are refused take few requests each.
    """

    def __init__(
        self,
        client: Client,
        events: Iterable[NewEvent],
        until: float | None,
        *,
        largest_bytes: int = LARGEST_BATCH_BYTES,
    ) -> None:
        given = list(events)
        self._client, self._until, self._largest_bytes = client, until, largest_bytes
        self._keys = [each.idempotency_key for each in given]
        for key in self._keys:
            _check_key(key)
        self._bodies = [event_json(each.type, each.data, each.idempotency_key).encode() for each in given]
        self._outcomes: list[Sent | SendError | None] = [None] * len(given)
        self._waiting = list(range(len(given)))
        self._size = LARGEST_BATCH

    def send(self) -> list[Result]:
        while self._waiting:
            count = self._count()
            if self._until is not None and self._client._retries.now() >= self._until:
                self._give_up(Unavailable("Not sent: the deadline had passed.", may_be_accepted=False), count)
                break
            try:
                bodies = [self._bodies[each] for each in self._waiting[:count]]
                sent = self._client._send_batch(bodies, self._until)
            except Rejected as error:
                self._take_out(error, count)
            except SendError as error:
                self._give_up(error, count)
            else:
                self._note_outcomes(dict(enumerate(sent)))
                self._size = min(LARGEST_BATCH, self._size * 2)
        return [self._result(at) for at in range(len(self._keys))]

    def _count(self) -> int:
        """Return how many of those that wait go next."""
        left = self._largest_bytes - len('{"events": []}')
        for count, each in enumerate(self._waiting[: self._size]):
            left -= len(self._bodies[each]) + 1
            if left < 0:
                return max(1, count)
        return min(self._size, len(self._waiting))

    def _take_out(self, error: Rejected, count: int) -> None:
        at = _POSITION.fullmatch(error.field or "")
        if at and int(at[1]) < count:
            position = int(at[1])
            own = type(error)(error.status, error.code, error.message, at[2])
            own.may_be_accepted = error.may_be_accepted
            self._note_outcomes({position: own})
            self._size = position or max(1, count // 2)
        elif count > 1 and error.status in _OF_ONE_EVENT:
            self._size = count // 2
        elif error.is_about_event:
            self._note_outcomes({0: error})
        else:
            self._give_up(error, count)

    def _give_up(self, error: SendError, count: int) -> None:
        """End with this error; of those behind the first `count`, say that they were not sent."""
        rest = error
        if error.may_be_accepted:
            after = getattr(error, "retry_after", None)
            rest = Unavailable(
                "Not sent: the platform was unavailable.", retry_after=after, may_be_accepted=False
            )
        self._note_outcomes({at: error if at < count else rest for at in range(len(self._waiting))})

    def _note_outcomes(self, outcomes: Mapping[int, Sent | SendError]) -> None:
        """Note what came of those that wait, by their places among them."""
        for at, outcome in outcomes.items():
            self._outcomes[self._waiting[at]] = outcome
        self._waiting = [each for at, each in enumerate(self._waiting) if at not in outcomes]

    def _result(self, at: int) -> Result:
        outcome = self._outcomes[at]
        if isinstance(outcome, Sent):
            return Result(self._keys[at], sent=outcome)
        return Result(self._keys[at], error=outcome)


# When the answer that this thread waits for must be there, on the monotonic clock.
_answered_until: ContextVar[float | None] = ContextVar("answered_until", default=None)


@contextmanager
def answered_within(seconds: float) -> Iterator[None]:
    """Have requests through a DeadlineAdapter fail with a time-out if their answers are not read by then."""
    token = _answered_until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _answered_until.reset(token)


class DeadlineAdapter(HTTPAdapter):
    """Mounted on a session, holds for whole answers what `answered_within` says.

    A time-out of requests is for each read alone, so that an answer of which a byte comes now and then, as
    from a proxy that is in trouble, would be waited for without end.
    """

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        found = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # which has pools of its own, and connects through them
            _bound(found)
        return found


class _UntilDeadline(io.RawIOBase):
    """The bytes that come on a socket, for as long as the deadline has not passed."""

    def __init__(self, source: Any, sock: Any) -> None:
        self._source, self._sock, self._seconds = source, sock, sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        until = _answered_until.get()
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer took too long")
            self._sock.settimeout(left if self._seconds is None else min(left, self._seconds))
        count: int | None = self._source.readinto(buffer)
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp: Any = io.BufferedReader(_UntilDeadline(self.fp.detach(), sock))


class _HttpConnection(HTTPConnection):
    response_class = _Response


class _HttpsConnection(HTTPSConnection):
    response_class = _Response


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def _bound(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


def _new_session() -> requests.Session:
    session = requests.Session()
    adapter = DeadlineAdapter(pool_maxsize=_IDLE_CONNECTIONS)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    # A proxy's cookies are the one thing that threads would change under each other.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


class TooLarge(Exception):
    """An answer without end, as of something else than the API."""


def read_whole(response: requests.Response, *, most_bytes: int = LARGEST_ANSWER_BYTES) -> bytes:
    """Return the body of a streamed answer, decoded. Raises TooLarge, and what requests raises."""
    body = bytearray()
    for piece in response.iter_content(_PIECE_BYTES):
        body += piece
        if len(body) > most_bytes:
            raise TooLarge(f"The answer has more than {most_bytes:,} bytes")
    return bytes(body)


def unanswered(address: str, why: str) -> str:
    """Return the sentence that says that no answer came, and why."""
    return f"The platform at {address} does not answer: {why}{'' if why.endswith('?') else '.'}"


def why_unanswered(error: requests.RequestException) -> str:
    """Return in words why a request had no answer."""
    if answered_without_tls(error):
        return "it speaks no TLS; is it http://?"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted" if _is_misdirected(error) else "TLS was not agreed on"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy of the environment does not let it through"
    if isinstance(error, requests.Timeout) or isinstance(_cause(error), ReadTimeoutError):
        return "it took too long"
    unconnected = _unconnected(error)
    cause = unconnected and (unconnected.__cause__ or unconnected.__context__)
    if isinstance(cause, socket.gaierror):
        return "there is no such host, or its name cannot be looked up now"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror[:1].lower() + cause.strerror[1:]
    return "no connection, or one that broke"


def answered_without_tls(error: requests.RequestException) -> bool:
    """Return whether an https:// address failed as one of http:// does, by OpenSSL's names for that."""
    return isinstance(error, requests.exceptions.SSLError) and any(each in str(error) for each in _NO_TLS)


def _is_misdirected(error: requests.RequestException) -> bool:
    """Return whether what answers is not the platform that is meant, which no further try changes."""
    is_tls = isinstance(error, requests.exceptions.SSLError)
    return answered_without_tls(error) or (is_tls and "CERTIFICATE_VERIFY_FAILED" in str(error))


def _was_unconnected(error: requests.RequestException) -> bool:
    """Return whether nothing can have been sent."""
    return isinstance(error, requests.ConnectTimeout) or _unconnected(error) is not None


def _unconnected(error: requests.RequestException) -> NewConnectionError | None:
    reason = getattr(_cause(error), "reason", None)
    return reason if isinstance(reason, NewConnectionError) else None


def _cause(error: requests.RequestException) -> object:
    """Return what urllib3 raised; within a body, requests makes a broken connection of any of it."""
    return error.args[0] if error.args else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def event_json(type: str, data: Mapping[str, Any] | JsonText, key: str | None = None) -> str:
    """Return an event as the API takes it, in a batch with its key. Raises TypeError or ValueError."""
    head = {"type": type} if key is None else {"type": type, "idempotency_key": key}
    text = str(data) if isinstance(data, JsonText) else to_json(data)
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "data": {text}}}'


def to_json(value: Mapping[str, Any]) -> str:
    """Return JSON in which Decimals are numbers. `json` writes none, so marks stand for them first."""
    mark, numbers = uuid.uuid4().hex, list[str]()

    def take(found: object) -> str:
        if not isinstance(found, Decimal):
            raise TypeError(f"{type(found).__name__} is not JSON")
        if not found.is_finite():
            raise ValueError(f"{found} is not a JSON number")
        numbers.append(str(found))
        return f"{mark}{len(numbers) - 1}"

    text = json.dumps(dict(value), ensure_ascii=False, allow_nan=False, default=take)
    return re.sub(rf'"{mark}([0-9]+)"', lambda found: numbers[int(found[1])], text) if numbers else text


def _sent(response: _WholeAnswer) -> Sent:
    match _body(response, 202):
        case {"id": str(event_id), "deliveries": int(deliveries)}:
            return Sent(event_id, deliveries, response.headers.get("Idempotent-Replayed") == "true")
    raise _not_the_api(response)


def _all_sent(response: _WholeAnswer, count: int) -> Sequence[Sent]:
    match _body(response, 202):
        case {"events": [*events]} if len(events) == count:
            return [_sent_within(each, response) for each in events]
    raise _not_the_api(response)


def _sent_within(event: Any, response: _WholeAnswer) -> Sent:
    match event:
        case {"id": str(event_id), "deliveries": int(deliveries)}:
            return Sent(event_id, deliveries, event.get("repeated") is True)
    raise _not_the_api(response)


def _status(response: _WholeAnswer) -> EventStatus:
    try:
        body = _body(response, 200)
        deliveries = tuple(_delivery_status(each) for each in body["deliveries"])
        accepted_at = datetime.fromisoformat(body["timestamp"])
        to_come = int(body.get("deliveries_to_come", 0))  # an older platform does not say
        return EventStatus(body["id"], body["type"], accepted_at, deliveries, to_come)
    except (KeyError, TypeError, ValueError):
        raise _not_the_api(response) from None


def _delivery_status(row: Mapping[str, Any]) -> DeliveryStatus:
    due = row["next_attempt_at"]
    return DeliveryStatus(
        *(row["id"], row["endpoint_id"], row["state"], row["attempts"], row["last_status"]),
        last_outcome=row["last_outcome"],
        next_attempt_at=datetime.fromisoformat(due) if due else None,
    )


def _event_types(response: _WholeAnswer) -> frozenset[str]:
    match _body(response, 200):
        case {"event_types": [*event_types]} if all(isinstance(each, dict) for each in event_types):
            return frozenset(str(each.get("name")) for each in event_types)
    raise _not_the_api(response)


def _body(response: _WholeAnswer, expected: int) -> Any:
    """Return the parsed body of an answer with this status, None if it is no JSON. Raises SendError."""
    status = response.status_code
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        body = None
    if status == expected:
        return body
    if status in _LATER or (500 <= status <= 599 and status not in _NEVER):
        message = f"The platform at {response.url} cannot take it now ({status})."
        after, may_be_accepted = _retry_after(response), status not in (425, 429)
        raise Unavailable(message, status=status, retry_after=after, may_be_accepted=may_be_accepted)
    if 400 <= status <= 499:
        raise _rejected(response, body)
    raise _not_the_api(response)


def _not_the_api(response: _WholeAnswer) -> SendError:
    status = response.status_code
    return SendError(f"What answers at {response.url} ({status}) is not the platform's API; check base_url.")


def _rejected(response: _WholeAnswer, body: Any) -> Rejected:
    status = response.status_code
    kinds = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: KeyReused}
    kind = kinds.get(status, Rejected)
    match body:
        case {"error": {"code": str(code), "message": str(message), "field": str() | None as field}}:
            return kind(status, code, message, field)
    message = (
        f"What answers at {response.url} is not the platform's API, or a proxy before it refused this; "
        "check base_url."
    )
    return kind(status, f"http_{status}", message, None)


def _retry_after(response: _WholeAnswer) -> float | None:
    """Seconds, given as such or as a date (RFC 9110, section 10.2.3); None if neither."""
    text = response.headers.get("Retry-After", "").strip()
    try:
        if text.isascii() and text.isdecimal():
            return min(float(text), LONGEST_RETRY_AFTER_SECONDS)
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(0.0, seconds.total_seconds()), LONGEST_RETRY_AFTER_SECONDS)


def _check_token(token: str) -> None:
    """Raise ValueError for what is no token, which is never in the message."""
    if token == PLACEHOLDER:
        raise ValueError(f"token is the {PLACEHOLDER} of an example: put a token of your own in its place")
    if not _is_plain(token):
        raise ValueError("token must be as the platform issued it, without spaces or line breaks")


def _without_password(parts: SplitResult) -> str:
    """Return a base URL as messages may have it."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def _check_key(key: str) -> None:
    if not _is_plain(key):
        raise ValueError("idempotency_key must be printable ASCII without spaces")


def _is_plain(text: str) -> bool:
    return text != "" and " " not in text and text.isascii() and text.isprintable()
