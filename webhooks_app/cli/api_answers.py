"""What the platform answered to a command: a 2xx, or what to tell of a failure."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from webhooks_app.client import TooLarge, read_whole
from webhooks_app.core.text_display import flatten

# Too many, or a platform that is being restarted, behind a proxy or not.
LATER = frozenset({408, 425, 429, 502, 503, 504})
# A platform that is being restarted or cannot be reached; 0 stands for no answer.
AWAY_STATUSES = frozenset({0, 408, 425, 429, 500, 502, 503, 504})
# A 403 names the scope that is missing in what it asks for (RFC 6750, section 3).
_MISSING_SCOPE = re.compile(r'scope="([a-z:]+)"')
_EXITS = {401: os.EX_NOPERM, 403: os.EX_NOPERM, 429: os.EX_TEMPFAIL}


class ApiFailure(Exception):
    """A request did not succeed; the message is a sentence for people.

    `status` is the answer's, 0 where none came; `code` is for programs, `field` is what was at fault, and
    `exit_code` the command's status, one of sysexits.h. `retry_after` is how many seconds it asked for,
    `missing_scope` what the token lacks for the request.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        field: str | None = None,
        retry_after: float = 0.0,
        missing_scope: str | None = None,
    ) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.message, self.status, self.code, self.field = message, status, code, field
        self.retry_after, self.missing_scope = retry_after, missing_scope

    @property
    def exit_code(self) -> int:
        if self.status in _EXITS:
            return _EXITS[self.status]
        return os.EX_DATAERR if 400 <= self.status <= 499 else os.EX_UNAVAILABLE

    def as_json(self) -> dict[str, Any]:
        """Return what a program is told of it."""
        return {"code": self.code, "message": self.message, "field": self.field, "status": self.status}


@dataclass(frozen=True, slots=True)
class Received:
    """An answer that has come whole."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """A 2xx: its status, its JSON (None without a body) and its headers."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def etag(self) -> str | None:
        """Return what `If-Match` takes."""
        return self.headers.get("ETag")


def receive(response: requests.Response, url: str, *, most_bytes: int) -> Received:
    """Read a streamed answer to its end. Raises ApiFailure for one too large, and what requests raises."""
    status = response.status_code
    try:
        content = read_whole(response, most_bytes=most_bytes)
    except TooLarge as error:
        message = f"{error}, more than a command reads: is {url} the platform's URL?"
        raise ApiFailure(message, status=status, code="too_large") from None
    return Received(status, response.headers, content)


def read_answer(response: Received, url: str) -> ApiAnswer:
    """Return the 2xx of the platform at this address. Raises ApiFailure for everything else."""
    status, after = response.status_code, seconds_asked(response.headers.get("Retry-After"))
    try:
        body = json.loads(response.content) if response.content else None
    except (ValueError, RecursionError):
        raise _not_the_api(response, url) from None
    if 200 <= status <= 299:
        return ApiAnswer(status, body, response.headers)
    error: dict[str, Any] = body.get("error", body) if isinstance(body, dict) else {}
    match error:
        case {"code": str(code), "message": str(message)} | {"code": str(code), "detail": str(message)}:
            place = error.get("field")
            field = flatten(place) if isinstance(place, str) else None
            raise ApiFailure(
                flatten(message),
                status=status,
                code=code,
                field=field,
                retry_after=after,
                missing_scope=_missing_scope(response),
            )
    raise _not_the_api(response, url)


def _missing_scope(response: Received) -> str | None:
    found = _MISSING_SCOPE.search(response.headers.get("WWW-Authenticate", ""))
    return found and found[1]


def _not_the_api(response: Received, url: str) -> ApiFailure:
    status = response.status_code
    if moved := response.headers.get("Location"):
        message = f"{url} leads elsewhere ({status}), to {flatten(moved)[:200]}: is the URL right?"
    elif status in LATER:
        message = f"The platform at {url} cannot answer now ({status})."
    else:
        message = f"What answers at {url} ({status}) is not the platform's API: is the URL right?"
    after = seconds_asked(response.headers.get("Retry-After"))
    return ApiFailure(message, status=status, code=f"http_{status}", retry_after=after)


def seconds_asked(header: str | None) -> float:
    """Return what a Retry-After asks for."""
    return float(header) if header and header.isascii() and header.isdecimal() else 0.0
