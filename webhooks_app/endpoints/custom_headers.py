""""""

import json
import re
from collections.abc import Sequence

from webhooks_app.core.encryption import Cipher
from webhooks_app.db.models import (
    Endpoint,
)

MASK = "••••••••"


def decrypt_stored(endpoint_id: str, encrypted: str | None, cipher: Cipher) -> tuple[tuple[str, str], ...]:
    if encrypted is None:
        return ()
    return tuple((name, value) for name, value in json.loads(cipher.decrypt(endpoint_id, encrypted)))


def read(cipher: Cipher, endpoint: Endpoint) -> list[tuple[str, str]]:
    """The custom headers with their values, which go to nobody but the endpoint."""
    if endpoint.headers_encrypted is None:
        return []
    stored = json.loads(cipher.decrypt(endpoint.id, endpoint.headers_encrypted))
    return [(name, value) for name, value in stored]


MAX_HEADERS = 20


MAX_HEADER_BYTES = 4096  # half of what common servers take, so ours and the signature always fit beside them


# What the platform sets itself, what describes the body it sends, and what belongs to one connection
# (RFC 9110, section 7.6.1; RFC 9113, section 8.2.2).
_RESERVED_HEADERS = frozenset(
    "host content-length content-type content-encoding transfer-encoding".split()
    + "connection keep-alive te trailer upgrade expect http2-settings".split()
)


_RESERVED_PREFIXES = ("webhook-", "proxy-")


def header_problem(name: str, value: str) -> str | None:
    """Why an admin may not add this header, as a sentence that never holds the value; None when allowed."""
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


def headers_problem(headers: Sequence[tuple[str, str]]) -> str | None:
    """Why an admin may not add these headers together; sizes count as on the wire (HTTP/1.1)."""
    if len(headers) > MAX_HEADERS:
        return f"There are {len(headers)} headers; an endpoint may have {MAX_HEADERS}."
    seen: set[str] = set()
    for name, value in headers:
        if problem := header_problem(name, value):
            return problem
        if name.lower() in seen:
            return f"The header {name} is there twice."
        seen.add(name.lower())
    size = sum(len(name) + len(value) + 4 for name, value in headers)
    return (
        f"The headers take {size} bytes; the limit is {MAX_HEADER_BYTES}."
        if size > MAX_HEADER_BYTES
        else None
    )
