"""The management API as commands use it: one request after another, tried again where that is safe."""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

import requests

import webhooks_app
from webhooks_app.cli.api_answers import (
    LATER,
    ApiAnswer,
    ApiFailure,
    Received,
    read_answer,
    receive,
    seconds_asked,
)
from webhooks_app.cli.profiles import Profile
from webhooks_app.client import DeadlineAdapter, answered_within, unanswered, why_unanswered

_ROOT = "/api/v1"
# The API gives at most so many things of a list at once.
PAGE = 100
_NO_ANSWER = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
# RFC 9110, section 9.2.2: doing it twice is doing it once.
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How long a command waits, in seconds: to connect, for each part of an answer, between tries.

    `answer_seconds` is for a whole answer, of which one part may come after the other, and `answer_bytes` how
    large it may be: the newest attempts of a delivery, with all that they were answered, are the largest.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    answer_seconds: float = 60.0
    answer_bytes: int = 64 * 1024 * 1024
    tries: int = 5
    first_pause_seconds: float = 0.3
    longest_pause_seconds: float = 60.0


class ApiClient:
    """Talks to the platform of a profile; `requests_sent` counts each try.

    `pause` is called with the seconds between two tries; a program that may be told to end meanwhile sets one
    of its own, which may return early.
    """

    def __init__(self, profile: Profile, limits: ClientLimits | None = None) -> None:
        self.profile = profile
        self.requests_sent = 0
        self.pause: Callable[[float], object] = time.sleep
        self._limits = limits or ClientLimits()
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, DeadlineAdapter())
        self._session.headers.update(
            {
                "Accept": "application/json;q=0.9, application/problem+json",
                "User-Agent": f"avra/{webhooks_app.__version__}",
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        is_repeatable: bool | None = None,
        read_seconds: float | None = None,
    ) -> ApiAnswer:
        """Send a request to a path below `/api/v1`, such as `/endpoints`, and return its 2xx.

        Raises ApiFailure. Where no answer came, or one that says "later", it is sent again if doing it twice
        is doing it once; `is_repeatable` says so of a POST, with an `Idempotency-Key` for example.
        """
        may_repeat = method in _IDEMPOTENT if is_repeatable is None else is_repeatable
        sent_headers, data = dict(headers or {}), None
        if body is not None:
            data, sent_headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        url = f"{self.profile.url}{_ROOT}{path}{f'?{urlencode(query)}' if query else ''}"
        for turn in range(self._limits.tries - 1):
            try:
                response = self._send(method, url, data, sent_headers, read_seconds)
            except _NO_ANSWER as error:
                if not may_repeat:
                    raise self._no_answer(error) from error
                self._pause(turn, None)
                continue
            asked = response.headers.get("Retry-After")
            is_soon = seconds_asked(asked) <= self._limits.longest_pause_seconds
            if not is_soon or not _says_later(response.status_code, may_repeat):
                return read_answer(response, self.profile.url)
            self._pause(turn, asked)
        try:
            return read_answer(self._send(method, url, data, sent_headers, read_seconds), self.profile.url)
        except _NO_ANSWER as error:
            raise self._no_answer(error) from error

    def each(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the entries of a list (`{"data": […], "next": …}`), page by page. Raises ApiFailure."""
        cursor = None
        while True:
            asked = {"limit": PAGE, **(query or {}), **({"cursor": cursor} if cursor else {})}
            page = self.request("GET", path, query=asked).body
            yield from page["data"]
            cursor = page["next"]
            if cursor is None:
                return

    def _send(
        self,
        method: str,
        url: str,
        data: bytes | None,
        headers: Mapping[str, str],
        read_seconds: float | None,
    ) -> Received:
        self.requests_sent += 1
        limits = self._limits
        try:
            with (
                answered_within(max(limits.answer_seconds, read_seconds or 0)),
                self._session.request(
                    method,
                    url,
                    data=data,
                    headers=headers,
                    auth=self._authorize,
                    timeout=(limits.connect_seconds, read_seconds or limits.read_seconds),
                    allow_redirects=False,  # a token goes where its profile says
                    verify=self.profile.ca_file or True,
                    stream=True,
                ) as response,
            ):
                return receive(response, self.profile.url, most_bytes=limits.answer_bytes)
        except _NO_ANSWER:
            raise
        except (requests.RequestException, OSError) as error:
            raise ApiFailure(
                f"The request failed ({type(error).__name__}): {error}", code="failed"
            ) from error

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Called as `auth`: a header that is merely given yields to an entry in ~/.netrc.
        request.headers["Authorization"] = f"Bearer {self.profile.token}"
        return request

    def _pause(self, turn: int, asked: str | None) -> None:
        """Wait as long as the answer asks, or twice as long as the time before."""
        backoff = self._limits.first_pause_seconds * 2**turn * random.uniform(0.5, 1)
        self.pause(min(max(backoff, seconds_asked(asked)), self._limits.longest_pause_seconds))

    def _no_answer(self, error: requests.RequestException) -> ApiFailure:
        why = why_unanswered(error)
        if isinstance(error, requests.exceptions.SSLError) and "certificate" in why:
            why += "; ca_file in the profile names a CA of your own"
        return ApiFailure(unanswered(self.profile.url, why), code="no_answer")


def _says_later(status: int, may_repeat: bool) -> bool:
    """Return whether to send it again; what is too much (429) or not now (503) was not begun with."""
    return status in (429, 503) or (may_repeat and status in LATER)


def segment(text: str) -> str:
    """Return a text, such as an endpoint's name, as a part of a path."""
    return quote(text, safe="")
