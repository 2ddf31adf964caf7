"""The headers of an attempt's request and of its response, packed for the log. Pure.

Nearly all of it is the same from one attempt to the next, or stands in the attempt's other columns: what is
left is deflated (RFC 1951) with a dictionary of what such headers hold. The first byte is the version, which
says how to read the rest; neither a version nor its dictionary is ever changed, as rows hold it for years.
"""

import zlib
from binascii import a2b_base64, b2a_base64
from datetime import datetime
from typing import Protocol

# Version 1 is followed by the 32 bytes of the request's only signature, then the deflated rest of the request
# and the response; version 2 by all of the request and the response, deflated.
_SIGNED, _WHOLE = 1, 2
_SIGNATURE_BYTES = 32
_SIGNATURE_CHARACTERS = 44  # of base64
_HEAD = (
    '[["content-type","application/json"],["webhook-id","%s"],["webhook-timestamp","%d"],'
    '["webhook-signature","v1,'
)
_END_OF_REQUEST = b"\0"  # which JSON holds nowhere
# What comes last costs least to refer to.
_DICTIONARY = b"".join(
    (
        b"x-vercel-id: x-amzn-requestid: x-amzn-trace-id: Root=1-x-amz-apigw-id: via: 1.1 vegur\r\n",
        b"x-powered-by: Express\r\nx-runtime: 0.0cf-ray: cf-cache-status: DYNAMIC\r\n",
        b'alt-svc: h3=":443"; ma=86400\r\netag: W/"x-xss-protection: 0\r\naccept-ranges: bytes\r\n',
        b"referrer-policy: strict-origin-when-cross-origin\r\nx-frame-options: SAMEORIGIN\r\n",
        b"x-content-type-options: nosniff\r\naccess-control-allow-origin: *\r\n",
        b"set-cookie: ; Path=/; HttpOnly; Secure; SameSite=Lax\r\n",
        b"strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n",
        b"vary: Accept-Encoding\r\n",
        b"cache-control: no-cache, no-store, max-age=0, must-revalidate, private\r\n",
        b"HTTP/1.1 404 Not Found\r\nHTTP/1.1 500 Internal Server Error\r\nHTTP/1.1 502 Bad Gateway\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 60\r\ntransfer-encoding: chunked\r\n",
        b"Content-Type: text/html; charset=UTF-8\r\nContent-Type: text/plain; charset=utf-8\r\n",
        b"server: cloudflare\r\nServer: nginx/1.24.0 (Ubuntu)\r\nServer: gunicorn\r\nx-request-id: \r\n",
        b"X-Request-Id: Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nConnection: close\r\n",
        b"Content-Type: application/json\r\nContent-Length: 2\r\nDate: Mon, Tue, Wed, Thu, Fri, Sat, Sun, ",
        b"01 Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec 2026 2027 2028 2029 20:00:00 GMT\r\ndate: ",
        b"content-type: application/json; charset=utf-8\r\ncontent-length: \r\n\r\n",
        b"HTTP/1.1 201 Created\r\nHTTP/1.1 202 Accepted\r\nHTTP/1.1 204 No Content\r\nHTTP/2 200 \r\n",
        b'HTTP/1.1 200 OK\r\n"],["authorization","********"],[":method","POST"],[":scheme","https"],',
        b'[":authority","hooks.example.com"],[":path","/api/webhooks"],["user-agent","Avra-Webhooks/1.0"]]\0',
    )
)
# A window of 4 KiB holds the dictionary; what fills it anew for each attempt is small at this size, too.
_WINDOW_BITS, _MEMORY_LEVEL = -12, 4
_PREPARED = zlib.compressobj(6, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zdict=_DICTIONARY)


class StoredHeads(Protocol):
    """A row of `attempts`, or as much of it as its headers are read from."""

    @property
    def delivery_id(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def plain_request_headers(self) -> str: ...
    @property
    def plain_response_headers(self) -> bytes | None: ...
    @property
    def packed_heads(self) -> bytes | None: ...


def read(row: StoredHeads) -> tuple[str, bytes]:
    """Return the headers of the request, as JSON, and those of the response, packed or not."""
    if row.packed_heads is None:
        return row.plain_request_headers, bytes(row.plain_response_headers or b"")
    return unpack(row.delivery_id, row.started_at, bytes(row.packed_heads))


def pack(delivery_id: str, started_at: datetime, request_headers: str, response_headers: bytes) -> bytes:
    """Return both packed; `request_headers` are JSON as `worker/signed_requests.py` makes it, or other.

    Raises UnicodeEncodeError for what no database takes as text either.
    """
    head = _HEAD % (delivery_id, started_at.timestamp())
    rest_at = len(head) + _SIGNATURE_CHARACTERS
    if request_headers.startswith(head):
        signature = _signature(request_headers[len(head) : rest_at])
        if signature is not None:
            rest = _deflate(request_headers[rest_at:], response_headers)
            return b"%c%b%b" % (_SIGNED, signature, rest)
    return b"%c%b" % (_WHOLE, _deflate(request_headers, response_headers))


def unpack(delivery_id: str, started_at: datetime, packed: bytes) -> tuple[str, bytes]:
    """Return the headers of the request, as JSON, and those of the response.

    Of a version that this code does not know there are none. Raises zlib.error for what was damaged.
    """
    version, rest_at = packed[0], 1
    if version not in (_SIGNED, _WHOLE):
        return "[]", b""
    start = ""
    if version == _SIGNED:
        rest_at += _SIGNATURE_BYTES
        signature = b2a_base64(packed[1:rest_at], newline=False).decode()
        start = _HEAD % (delivery_id, started_at.timestamp()) + signature
    content = zlib.decompressobj(_WINDOW_BITS, zdict=_DICTIONARY).decompress(packed[rest_at:])
    request, _, response = content.partition(_END_OF_REQUEST)
    return start + request.decode(), response


def _signature(text: str) -> bytes | None:
    """Return the bytes of a signature whose base64 is `text`; None for what is no such text."""
    try:
        raw = a2b_base64(text)
    except ValueError:
        return None
    is_exact = len(raw) == _SIGNATURE_BYTES and b2a_base64(raw, newline=False) == text.encode()
    return raw if is_exact else None


def _deflate(request_headers: str, response_headers: bytes) -> bytes:
    content = request_headers.encode() + _END_OF_REQUEST + response_headers
    deflating = _PREPARED.copy()
    return deflating.compress(content) + deflating.flush()
