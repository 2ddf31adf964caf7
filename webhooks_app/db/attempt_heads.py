"""The headers of an attempt's request and of its response, packed for the log. Pure.

Nearly all of it is the same from one attempt to the next, or stands in the attempt's other columns: what is
left is deflated (RFC 1951) with a dictionary of what such headers hold. What all requests of an endpoint
carry has a row of its own, of `constant_headers`. The first byte is the version, which says how to read the
rest; neither a version nor its dictionary is ever changed, as rows hold it for years.
"""

from binascii import a2b_base64, b2a_base64
from datetime import datetime
from typing import NamedTuple, Protocol

from webhooks_app.db import packed_response_heads
from webhooks_app.db.preset_deflate import DamagedStream, PresetDeflate

# Version 1 is followed by the 32 bytes of the request's only signature, then the deflated rest of the request
# and the response; version 2 by all of the request and the response, deflated. Version 3 is followed by the
# number of signatures, these, and the response as `packed_response_heads` has it; all that follows the
# signatures in the request is constant.
_SIGNED, _WHOLE, _CONSTANT = 1, 2, 3
_SIGNATURE_BYTES = 32
_COUNTED_BYTES = 2  # of version 3, before its signatures
_SIGNATURE_CHARACTERS = 44  # of base64
_HEAD = (
    '[["content-type","application/json"],["webhook-id","%s"],["webhook-timestamp","%d"],'
    '["webhook-signature","'
)
_SIGNATURE_VERSION = "v1,"
_MOST_SIGNATURES = 255
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
_DEFLATE = PresetDeflate(_DICTIONARY, level=6)


class StoredHeads(Protocol):
    """A row of `attempts`, or as much of it as its headers are read from.

    `constant_headers` are those of its endpoint that it refers to; None without such a row.
    """

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
    @property
    def constant_headers(self) -> str | None: ...


class Heads(NamedTuple):
    """The headers of a request, as JSON, and of its response; what is damaged is none."""

    request: str = "[]"
    response: bytes = b""
    is_damaged: bool = False


_DAMAGED = Heads(is_damaged=True)


def read(row: StoredHeads) -> Heads:
    """Return the headers of an attempt, packed or not."""
    if row.packed_heads is None:
        return Heads(row.plain_request_headers, bytes(row.plain_response_headers or b""))
    return unpack(row.delivery_id, row.started_at, bytes(row.packed_heads), row.constant_headers)


def pack(delivery_id: str, started_at: datetime, request_headers: str, response_headers: bytes) -> bytes:
    """Return both packed; `request_headers` are JSON as `worker/signed_requests.py` makes it, or other.

    Raises UnicodeEncodeError for what no database takes as text either.
    """
    head = _head(delivery_id, started_at) + _SIGNATURE_VERSION
    rest_at = len(head) + _SIGNATURE_CHARACTERS
    if request_headers.startswith(head):
        signature = _signature(request_headers[len(head) : rest_at])
        if signature is not None:
            rest = _deflate(request_headers[rest_at:], response_headers)
            return b"%c%b%b" % (_SIGNED, signature, rest)
    return b"%c%b" % (_WHOLE, _deflate(request_headers, response_headers))


def pack_variable(
    delivery_id: str, started_at: datetime, request_headers: str, response_headers: bytes, constant: str
) -> bytes | None:
    """Return both packed without what is constant, which the row has to refer to.

    None for what is no such request or response; `constant` are headers as JSON behind the signature.
    """
    head, end = _head(delivery_id, started_at), _end(constant)
    if not (request_headers.startswith(head) and request_headers.endswith(end)):
        return None
    signatures = _signatures(request_headers[len(head) : -len(end)])
    response = packed_response_heads.pack(started_at, response_headers)
    if signatures is None or response is None:
        return None
    return b"%c%c%b%b" % (_CONSTANT, len(signatures), b"".join(signatures), response)


def unpack(delivery_id: str, started_at: datetime, packed: bytes, constant: str | None = None) -> Heads:
    """Return the headers; those of a version that this code does not know cannot be read either.

    Without the constant ones that it refers to, those of the response are read.
    """
    try:
        if packed[:1] == b"%c" % _CONSTANT:
            return _unpack_variable(delivery_id, started_at, packed, constant)
        return _unpack_whole(delivery_id, started_at, packed)
    except (DamagedStream, UnicodeDecodeError):
        return _DAMAGED


def _unpack_variable(delivery_id: str, started_at: datetime, packed: bytes, constant: str | None) -> Heads:
    if len(packed) < _COUNTED_BYTES:
        raise DamagedStream
    response_at = _COUNTED_BYTES + packed[1] * _SIGNATURE_BYTES
    response = packed_response_heads.unpack(started_at, packed[response_at:])
    if constant is None:
        return _DAMAGED._replace(response=response)
    raw = (packed[at : at + _SIGNATURE_BYTES] for at in range(_COUNTED_BYTES, response_at, _SIGNATURE_BYTES))
    signatures = " ".join(_SIGNATURE_VERSION + _spell(each) for each in raw)
    return Heads(_head(delivery_id, started_at) + signatures + _end(constant), response)


def _unpack_whole(delivery_id: str, started_at: datetime, packed: bytes) -> Heads:
    version, rest_at, start = packed[:1], 1, ""
    if version == b"%c" % _SIGNED:
        rest_at += _SIGNATURE_BYTES
        start = _head(delivery_id, started_at) + _SIGNATURE_VERSION + _spell(packed[1:rest_at])
    elif version != b"%c" % _WHOLE:
        raise DamagedStream
    request, end, response = _DEFLATE.unpack(packed[rest_at:]).partition(_END_OF_REQUEST)
    if not end:
        raise DamagedStream
    return Heads(start + request.decode(), response)


def _head(delivery_id: str, started_at: datetime) -> str:
    return _HEAD % (delivery_id, started_at.timestamp())


def _end(constant: str) -> str:
    return f'"]{constant}]'


def _signatures(text: str) -> list[bytes] | None:
    """Return the bytes of all signatures of a header; None for what is no such text."""
    spelt = text.split(" ")
    if len(spelt) > _MOST_SIGNATURES or not all(each.startswith(_SIGNATURE_VERSION) for each in spelt):
        return None
    found = [_signature(each[len(_SIGNATURE_VERSION) :]) for each in spelt]
    raw = [each for each in found if each is not None]
    return raw if len(raw) == len(found) else None


def _signature(text: str) -> bytes | None:
    """Return the bytes of a signature whose base64 is `text`; None for what is no such text."""
    try:
        raw = a2b_base64(text)
    except ValueError:
        return None
    return raw if len(raw) == _SIGNATURE_BYTES and _spell(raw) == text else None


def _spell(signature: bytes) -> str:
    return b2a_base64(signature, newline=False).decode()


def _deflate(request_headers: str, response_headers: bytes) -> bytes:
    return _DEFLATE.pack(request_headers.encode() + _END_OF_REQUEST + response_headers)
