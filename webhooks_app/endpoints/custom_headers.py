"""Judge and decrypt the headers that an admin adds to an endpoint's deliveries."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from webhooks_app.core.encryption import Cipher

# Stands for the value of a custom header, often a credential, wherever people would read it: in the console,
# the delivery log and the curl command. Posted back untouched, it keeps the stored value.
VALUE_MASK = "••••••••"

MAX_HEADERS = 20
# Half of what common servers take, so that the platform's own headers always fit beside them.
MAX_HEADER_BYTES = 4096
# What the platform sets itself, what describes the body it sends, and what belongs to one connection
# (RFC 9110, section 7.6.1; RFC 9113, section 8.2.2).
_RESERVED_HEADERS = frozenset(
    "host content-length content-type content-encoding transfer-encoding".split()
    + "connection keep-alive te trailer upgrade expect http2-settings".split()
)
_RESERVED_PREFIXES = ("webhook-", "proxy-")


def decrypt(cipher: Cipher, endpoint: Any) -> list[tuple[str, str]]:
    """Return names and values of an endpoint's custom headers; the values go to nobody but the endpoint.

    `endpoint`: an Endpoint, or a row with its `id` and `headers_encrypted`. Raises DecryptionError.
    """
    if endpoint.headers_encrypted is None:
        return []
    stored = json.loads(cipher.decrypt(endpoint.id, endpoint.headers_encrypted))
    return [(name, value) for name, value in stored]


def mask_values(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers as people may read them, with VALUE_MASK for each value."""
    return [(name, VALUE_MASK) for name, _ in headers]


def header_problem(name: str, value: str) -> str | None:
    """Return why an admin may not add this header, as a sentence without the value; None when allowed."""
    if not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name):
        return "A header name may only hold letters, digits and !#$%&'*+-.^_`|~ (RFC 9110)."
    if name.lower() in _RESERVED_HEADERS or name.lower().startswith(_RESERVED_PREFIXES):
        return f"The header {name} is reserved: the platform sets it or it concerns the connection."
    if not re.fullmatch(r"[\t\x20-\x7e]*", value):
        return f"The value of {name} may only hold printable ASCII characters, without line breaks."
    if not value or value != value.strip():
        # libcurl drops a header without a value, and receivers drop outer white space: both would puzzle.
        return f"The value of {name} must not be empty, nor start or end with white space."
    return None


def header_list_problem(headers: Sequence[tuple[str, str]]) -> str | None:
    """Return why an admin may not add these headers together, as a sentence; None when allowed."""
    if len(headers) > MAX_HEADERS:
        return f"There are {len(headers)} headers; an endpoint may have {MAX_HEADERS}."
    names: set[str] = set()
    for name, value in headers:
        if problem := header_problem(name, value):
            return problem
        if name.lower() in names:
            return f"The header {name} is there twice."
        names.add(name.lower())
    return _size_problem(headers)


def _size_problem(headers: Sequence[tuple[str, str]]) -> str | None:
    size = sum(len(name) + len(": ") + len(value) + len("\r\n") for name, value in headers)  # as in HTTP/1.1
    if size > MAX_HEADER_BYTES:
        return f"The headers take {size} bytes; the limit is {MAX_HEADER_BYTES}."
    return None
