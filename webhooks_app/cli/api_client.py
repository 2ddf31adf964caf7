"""The management API as commands use it: one request after another, tried again where that is safe."""

import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

import requests

import webhooks_app
from webhooks_app.cli.profiles import Profile
from webhooks_app.client import DeadlineAdapter, answered_within, answered_without_tls
from webhooks_app.core.text_display import flatten

_ROOT = "/api/v1"
# Of a list, what the API gives of it at once at most.
PAGE = 100
_NO_ANSWER = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
# Too many, or a platform that is being restarted, behind a proxy or not.
_LATER = frozenset({408, 425, 429, 502, 503, 504})
# A platform that is being restarted or cannot be reached; 0 stands for no answer.
AWAY = frozenset({0, 408, 425, 429, 500, 502, 503, 504})
# RFC 9110, section 9.2.2: doing it twice is doing it once.
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})
_EXITS = {401: os.EX_NOPERM, 403: os.EX_NOPERM, 429: os.EX_TEMPFAIL}


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How long a command waits, in seconds: to connect, for each part of an answer, between tries.

    `answer_seconds` is for a whole answer, of which one part may come after the other.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    answer_seconds: float = 60.0
    tries: int = 5
    first_pause_seconds: float = 0.3
    longest_pause_seconds: float = 60.0


class ApiFailure(Exception):
    """A request did not succeed; the message is a sentence for people.

    `status` is the answer's, 0 where none came; `code` is for programs, `field` is what was at fault, and
    `exit_code` the command's status, one of sysexits.h. `retry_after` is how many seconds it asked for.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        field: str | None = None,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.message, self.status, self.code, self.field = message, status, code, field
        self.retry_after = retry_after

    @property
    def exit_code(self) -> int:
        if self.status in _EXITS:
            return _EXITS[self.status]
        return os.EX_DATAERR if 400 <= self.status <= 499 else os.EX_UNAVAILABLE

    def as_json(self) -> dict[str, Any]:
        """Return what a program is told of it."""
        return {"code": self.code, "message": self.message, "field": self.field, "status": self.status}


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx: its status, its JSON (None without a body) and its headers."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def etag(self) -> str | None:
        """Return what `If-Match` takes."""
        return self.headers.get("ETag")


class ApiClient:
    """Talks to the platform of a profile; `requests_sent` counts each try."""

    def __init__(self, profile: Profile, limits: ClientLimits | None = None) -> None:
        self.profile = profile
        self.requests_sent = 0
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
    ) -> Answer:
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
            is_soon = _seconds(asked) <= self._limits.longest_pause_seconds
            if not is_soon or not _says_later(response.status_code, may_repeat):
                return self._answer(response)
            self._pause(turn, asked)
        try:
            return self._answer(self._send(method, url, data, sent_headers, read_seconds))
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
    ) -> requests.Response:
        self.requests_sent += 1
        limits = self._limits
        try:
            with answered_within(max(limits.answer_seconds, read_seconds or 0)):
                return self._session.request(
                    method,
                    url,
                    data=data,
                    headers=headers,
                    auth=self._authorize,
                    timeout=(limits.connect_seconds, read_seconds or limits.read_seconds),
                    allow_redirects=False,  # a token goes where its profile says
                    verify=self.profile.ca_file or True,
                )
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
        time.sleep(min(max(backoff, _seconds(asked)), self._limits.longest_pause_seconds))

    def _no_answer(self, error: requests.RequestException) -> ApiFailure:
        if answered_without_tls(error):
            why = "it speaks no TLS; is it http://?"
        elif isinstance(error, requests.exceptions.SSLError):
            why = "its certificate is not trusted; ca_file in the profile names a CA of your own"
        elif isinstance(error, requests.exceptions.ProxyError):
            why = "the proxy of the environment does not let it through"
        elif isinstance(error, requests.Timeout):
            why = "it took too long"
        else:
            why = "no connection, or one that broke"
        end = "" if why.endswith("?") else "."
        return ApiFailure(f"The platform at {self.profile.url} does not answer: {why}{end}", code="no_answer")

    def _answer(self, response: requests.Response) -> Answer:
        """Return the 2xx. Raises ApiFailure for everything else."""
        status, after = response.status_code, _seconds(response.headers.get("Retry-After"))
        try:
            body = json.loads(response.content) if response.content else None
        except (ValueError, RecursionError):
            raise self._not_the_api(response) from None
        if 200 <= status <= 299:
            return Answer(status, body, response.headers)
        said: dict[str, Any] = body.get("error", body) if isinstance(body, dict) else {}
        match said:
            case {"code": str(code), "message": str(message)} | {"code": str(code), "detail": str(message)}:
                place = said.get("field")
                field = flatten(place) if isinstance(place, str) else None
                text = flatten(message)
                raise ApiFailure(text, status=status, code=code, field=field, retry_after=after)
        raise self._not_the_api(response)

    def _not_the_api(self, response: requests.Response) -> ApiFailure:
        status, url = response.status_code, self.profile.url
        if moved := response.headers.get("Location"):
            message = f"{url} leads elsewhere ({status}), to {flatten(moved)[:200]}: is the URL right?"
        elif status in _LATER:
            message = f"The platform at {url} cannot answer now ({status})."
        else:
            message = f"What answers at {url} ({status}) is not the platform's API: is the URL right?"
        after = _seconds(response.headers.get("Retry-After"))
        return ApiFailure(message, status=status, code=f"http_{status}", retry_after=after)


def _says_later(status: int, may_repeat: bool) -> bool:
    """Tell whether to send it again; what is too much (429) or not now (503) was not begun with."""
    return status in (429, 503) or (may_repeat and status in _LATER)


def _seconds(asked: str | None) -> float:
    """Return what a Retry-After asks for."""
    return float(asked) if asked and asked.isascii() and asked.isdecimal() else 0.0


def segment(text: str) -> str:
    """Return a text, such as an endpoint's name, as a part of a path."""
    return quote(text, safe="")
