"""The producer client: how an internal app hands over events.

This file needs `requests` and nothing else of the project, so it can be copied into another app as it is:

    with Client("https://webhooks.example.com", token) as client:
        client.send("batch-lifecycle", {"batch_id": "batch_1", "status": "succeeded"})
"""

import json
import random
import re
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

import requests

# To connect: time for a lost first packet to be sent again (after one second, then two: RFC 6298, section 2).
# For the answer: the platform waits up to five seconds for a busy database before it says 503.
DEFAULT_TIMEOUT = (3.3, 10.0)
# Rides out a lost connection or a busy moment; an outage is for the caller's own queue.
TRIES = 4
FIRST_PAUSE_SECONDS = 0.2
LONGEST_RETRY_AFTER_SECONDS = 86_400.0

# What asks to wait, or says that something broke: the key makes each further try the same event. A request
# that took too long (408), one that came too early (425), too many (429), and whatever a proxy makes of a
# platform that is being restarted. What is not implemented (501, 505) will not be the next time.
_LATER = frozenset({408, 425, 429})
_NEVER = frozenset({501, 505})
_NO_ANSWER = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_HEADERS = {"Content-Type": "application/json", "User-Agent": "Avra-Client/1.0"}


class SendError(Exception):
    """The event is not known to be accepted; sent again with this `idempotency_key` it cannot double."""

    idempotency_key = ""


class Unavailable(SendError):
    """No answer, or one that says "later".

    `status` is the answer's, 0 where none came; `retry_after` the seconds that the platform asked for.
    """

    def __init__(self, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class Rejected(SendError):
    """The platform refused the event (4xx) and would refuse it again."""

    def __init__(self, status: int, code: str, message: str, field: str | None) -> None:
        super().__init__(f"{message} ({status} {code}{f', {field}' if field else ''})")
        self.status, self.code, self.message, self.field = status, code, message, field


class Unauthorized(Rejected):
    """The token is unknown or revoked."""


class KeyReused(Rejected):
    """The idempotency key belongs to another event."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted event: its id, and how many deliveries it became."""

    id: str
    deliveries: int


class Client:
    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        deadline_seconds: float = 30.0,
        session: requests.Session | None = None,
    ) -> None:
        """Raises ValueError for an unusable address or token.

        `timeout` is the seconds to connect and to wait for each part of the answer, `deadline_seconds` what
        all tries of one `send` may take, pauses included. A `session` of your own is yours to close.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("base_url must look like https://webhooks.example.com")
        if not _is_plain(token):  # never with the token in the message
            raise ValueError("token must be as the platform issued it, without spaces or line breaks")
        self._url = base_url.rstrip("/") + "/api/v1/events"
        self._token = token
        self._timeout, self._deadline_seconds = timeout, deadline_seconds
        self._session = session or requests.Session()
        self._owns_session = session is None

    def send(self, type: str, data: dict[str, Any], *, idempotency_key: str | None = None) -> Sent:
        """Hands over one event; raises SendError, and TypeError or ValueError for what is not JSON.

        Decimals are sent as they are written, to the last digit.
        """
        # When an answer is lost, the event may have been accepted. With a key each further try is the same
        # event, so one is made for each send(); only a caller's own key also covers the caller's repeats.
        key = uuid.uuid4().hex if idempotency_key is None else idempotency_key
        if not _is_plain(key):
            raise ValueError("idempotency_key must be printable ASCII without spaces")
        body = _json({"type": type, "data": data}).encode()
        try:
            return self._send(body, key)
        except SendError as error:
            error.idempotency_key = key
            raise

    def close(self) -> None:
        if self._owns_session:
            self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, body: bytes, key: str) -> Sent:
        deadline = time.monotonic() + self._deadline_seconds
        for turn in range(TRIES):
            try:
                return _sent(self._post(body, key, seconds=max(0.01, deadline - time.monotonic())))
            except Unavailable as unavailable:
                pause = max(_backoff(turn), unavailable.retry_after or 0)
                if turn == TRIES - 1 or time.monotonic() + pause >= deadline:
                    raise
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _post(self, body: bytes, key: str, *, seconds: float) -> requests.Response:
        connect, read = self._timeout
        try:
            return self._session.post(
                self._url,
                data=body,
                headers=_HEADERS | {"Idempotency-Key": key},
                auth=self._authorize,
                timeout=(min(connect, seconds), min(read, seconds)),
                allow_redirects=False,
            )
        except _NO_ANSWER as error:
            raise Unavailable(f"The platform did not answer ({type(error).__name__}).") from error
        except requests.RequestException as error:
            raise SendError(f"The request failed ({type(error).__name__}); check base_url.") from error

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Called as `auth`: a header that is merely given yields to an entry in ~/.netrc.
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _json(value: dict[str, Any]) -> str:
    """JSON in which Decimals are numbers. `json` writes none, so marks stand for them first."""
    mark, numbers = uuid.uuid4().hex, list[str]()

    def take(found: object) -> str:
        if not isinstance(found, Decimal):
            raise TypeError(f"{type(found).__name__} is not JSON")
        if not found.is_finite():
            raise ValueError(f"{found} is not a JSON number")
        numbers.append(str(found))
        return f"{mark}{len(numbers) - 1}"

    text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=take)
    return re.sub(rf'"{mark}([0-9]+)"', lambda found: numbers[int(found[1])], text) if numbers else text


def _sent(response: requests.Response) -> Sent:
    """What an answer means. Raises SendError, and as such for what is not the API's (a redirect)."""
    status = response.status_code
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        body = None
    match body:
        case {"id": str(event_id), "deliveries": int(deliveries)} if status == 202:
            return Sent(event_id, deliveries)
    if status in _LATER or (500 <= status <= 599 and status not in _NEVER):
        message = f"The platform cannot take it now ({status})."
        raise Unavailable(message, status=status, retry_after=_retry_after(response))
    if 400 <= status <= 499:
        raise _rejected(status, body)
    raise SendError(f"Not an answer of the platform's API ({status}); check base_url.")


def _rejected(status: int, body: Any) -> Rejected:
    kind = {401: Unauthorized, 409: KeyReused}.get(status, Rejected)
    match body:
        case {"error": {"code": str(code), "message": str(message), "field": str() | None as field}}:
            return kind(status, code, message, field)
    return kind(status, f"http_{status}", "The answer gives no reason.", None)


def _retry_after(response: requests.Response) -> float | None:
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


def _backoff(turn: int) -> float:
    # Half of it for certain, the rest by chance, so that many clients do not come back at once.
    return FIRST_PAUSE_SECONDS * float(2**turn) * random.uniform(0.5, 1)


def _is_plain(text: str) -> bool:
    return text != "" and " " not in text and text.isascii() and text.isprintable()
