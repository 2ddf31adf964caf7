"""Judge and decrypt the headers that an admin adds to an endpoint's deliveries."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from webhooks_app.core import text_display
from webhooks_app.core.encryption import Cipher

MOST_HEADERS = 20
# Half of what common servers take, so that the platform's own headers always fit beside them.
LARGEST_HEADER_BYTES = 4096
# What the platform sets itself, what describes the body it sends, and what belongs to one connection
# (RFC 9110, section 7.6.1; RFC 9113, section 8.2.2).
_RESERVED_HEADERS = frozenset(
    "host proxy content-length content-type content-encoding transfer-encoding".split()
    + "connection keep-alive te trailer upgrade expect http2-settings".split()
)
_RESERVED_PREFIXES = ("webhook-", "proxy-")

# A header as an admin gives it; None stands for the value that is stored under this name.
GivenHeader = tuple[str, str | None]


class ValueNeeded(Exception):
    """A header is to keep its stored value, but there is none, or the URL leads to another server now."""


def decrypt(cipher: Cipher, endpoint: Any) -> list[tuple[str, str]]:
    """Return names and values of an endpoint's custom headers; the values go to nobody but the endpoint.

    `endpoint`: an Endpoint, or a row with its `id` and `headers_encrypted`. Raises DecryptionError.
    """
    if endpoint.headers_encrypted is None:
        return []
    stored = json.loads(cipher.decrypt(endpoint.id, endpoint.headers_encrypted))
    return [(name, value) for name, value in stored]


def mask_values(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers as people may read them, with `text_display.MASK` for each value."""
    return [(name, text_display.MASK) for name, _ in headers]


def is_same_server(url: str, other: str) -> bool:
    """Return whether two endpoint URLs have the same scheme, host and port, so a secret may go to both."""
    return urlsplit(url)[:2] == urlsplit(other)[:2]


def fill_in(cipher: Cipher, endpoint: Any, headers: Sequence[GivenHeader], url: str) -> list[tuple[str, str]]:
    """Return the headers with the endpoint's stored values where they are None, to be sent to `url`.

    `endpoint`: an Endpoint, or a row with its `id`, `url` and `headers_encrypted`. Raises ValueNeeded, and
    DecryptionError.
    """
    if any(value is None for _, value in headers) and not is_same_server(endpoint.url, url):
        raise ValueNeeded
    given = [name for name, value in headers if value is None]
    stored = {name.lower(): value for name, value in decrypt(cipher, endpoint)} if given else {}
    if any(name.lower() not in stored for name in given):
        raise ValueNeeded
    return [(name, stored[name.lower()] if value is None else value) for name, value in headers]


def complete(headers: Sequence[GivenHeader]) -> list[tuple[str, str]]:
    """Return the headers of an endpoint that has none stored. Raises ValueNeeded."""
    found = [(name, value) for name, value in headers if value is not None]
    if len(found) < len(headers):
        raise ValueNeeded
    return found


def is_reserved(name: str) -> bool:
    """Return whether a receiver could take the header for one that the platform or the connection sets."""
    folded = _fold(name)
    return folded in _RESERVED_HEADERS or folded.startswith(_RESERVED_PREFIXES)


def _fold(name: str) -> str:
    """Return the name in lower case with a hyphen for each sign.

    CGI, WSGI and PHP do not tell `a-b` from `A_B` (RFC 3875, section 4.1.18), some servers not from `a.b`.
    """
    return re.sub(r"[^0-9a-z]", "-", name.lower())


def header_problem(name: str, value: str) -> str | None:
    """Return why an admin may not add this header, as a sentence without the value; None when allowed."""
    if not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name):
        return "A header name may only hold letters, digits and !#$%&'*+-.^_`|~ (RFC 9110)."
    if is_reserved(name):
        return f"The header {name} is reserved: the platform sets it or it concerns the connection."
    if not re.fullmatch(r"[\t\x20-\x7e]*", value):
        return f"The value of {name} may only hold printable ASCII characters, without line breaks."
    if not value or value != value.strip():
        # libcurl drops a header without a value, and receivers drop outer white space: both would puzzle.
        return f"The value of {name} must not be empty, nor start or end with white space."
    return None


def header_list_problem(headers: Sequence[tuple[str, str]]) -> str | None:
    """Return why an admin may not add these headers together, as a sentence; None when allowed."""
    if len(headers) > MOST_HEADERS:
        return f"There are {len(headers)} headers; an endpoint may have {MOST_HEADERS}."
    names: set[str] = set()
    for name, value in headers:
        if problem := header_problem(name, value):
            return problem
        if _fold(name) in names:
            return f"The header {name} is there twice."
        names.add(_fold(name))
    return _size_problem(headers)


def _size_problem(headers: Sequence[tuple[str, str]]) -> str | None:
    size = sum(len(name) + len(": ") + len(value) + len("\r\n") for name, value in headers)  # as in HTTP/1.1
    if size > LARGEST_HEADER_BYTES:
        return f"The headers take {size} bytes; the limit is {LARGEST_HEADER_BYTES}."
    return None
