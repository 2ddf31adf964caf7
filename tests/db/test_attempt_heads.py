"""Headers of attempts come back as they were, in a quarter of the space."""

import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from webhooks_app.core import signing
from webhooks_app.db import attempt_heads

DELIVERY_ID = "dlv_06h1f25lcjlt04vbbpdftu762c"
STARTED_AT = datetime(2026, 5, 4, 12, 0, 31, 204_000, tzinfo=UTC)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 04 May 2026 12:00:31 GMT\r\n"
    b"Content-Type: application/json; charset=utf-8\r\nContent-Length: 17\r\nConnection: keep-alive\r\n"
    b"X-Request-Id: 7f3c2f5e-0b1d-4c1e-9a53-1f0c4b8e2d11\r\n\r\n"
)

# As the first version packed it: neither it nor its dictionary may change.
FIRST_VERSION = (
    "010000000000000000000000000000000000000000000000000000000000000000a594e10a40301446bdd08dbb4d7818"
    "3f66362952481edfdd242e25e5fffd71fa76ce7ea2182a7fe8fd6fdae9d90d637fc071b096366bc630c3146be288ed42"
    "50df20e96405da5c878373c3327aacce2263bed2e37903836528bc561277adde3b780875cf02335ed735469e6ce6a411"
    "2eb5905458833268a1d0a904748951556e458de8f5dc00"
)
# The same of headers that no worker signs in this order.
OTHER_VERSION = (
    "028b8e06169ef92519a94540158620110cafa0a45c9444000c1150b482a3ced0081457c68690b8c29fb83062093dad19"
    "9aa32659e4148e9a0fccd38c938dd24c53750d920c53744d920d53752d134d8d750dd30c924d922c528d520c0d41710e00"
)


def signed(*, delivery_id: str = DELIVERY_ID, timestamp: int = 0, signature: str = "", more: str = "") -> str:
    timestamp = timestamp or int(STARTED_AT.timestamp())
    key = signing.key_of(signing.new_secret())
    computed = signing.signature([key], message_id=delivery_id, timestamp=timestamp, body=b"{}")
    headers = [
        ["content-type", "application/json"],
        [signing.ID_HEADER, delivery_id],
        [signing.TIMESTAMP_HEADER, str(timestamp)],
        [signing.SIGNATURE_HEADER, signature or computed],
        [":method", "POST"],
        [":scheme", "https"],
        [":authority", "hooks.customer-platform.example"],
        [":path", "/integrations/avra/events"],
        ["user-agent", "Avra-Webhooks/1.0"],
        ["x-tenant", more or "********"],
    ]
    return json.dumps(headers, ensure_ascii=False, separators=(",", ":"))


def packed(request_headers: str, response_headers: bytes = RESPONSE) -> bytes:
    return attempt_heads.pack(DELIVERY_ID, STARTED_AT, request_headers, response_headers)


def unpacked(content: bytes) -> tuple[str, bytes]:
    return attempt_heads.unpack(DELIVERY_ID, STARTED_AT, content)


def test_what_a_worker_sent_takes_a_third_of_the_space() -> None:
    request = signed()
    content = packed(request)
    assert unpacked(content) == (request, RESPONSE)
    assert len(content) < (len(request) + len(RESPONSE)) / 3


@pytest.mark.parametrize(
    "request_headers",
    [
        "[]",
        signed(signature="v1,AAAA"),
        signed(signature=f"v1,{'A' * 43}="),
        signed(signature=f"v1,{'A' * 42}B="),  # bits that no bytes stand for
        signed(signature=f"v1,{'é' * 44}"),
        signed(signature=f"v1,{'A' * 43}= v1,{'B' * 43}="),
        signed(timestamp=1),
        signed(delivery_id="dlv_06h1f25lcgnh21lm0p3of2gnh0"),
        signed(more="Grüße, 世界 \x7f \\u0000"),
        signed()[:150],
    ],
)
@pytest.mark.parametrize("response_headers", [b"", RESPONSE, b"\x00\xff\x00", b"x" * 40_000])
def test_whatever_was_recorded_comes_back(request_headers: str, response_headers: bytes) -> None:
    assert unpacked(packed(request_headers, response_headers)) == (request_headers, response_headers)


def test_rows_of_the_first_version_stay_readable() -> None:
    content = bytes.fromhex(FIRST_VERSION)
    request, response = unpacked(content)
    assert json.loads(request)[3] == ["webhook-signature", f"v1,{'A' * 43}="]
    assert json.loads(request)[6] == [":authority", "hooks.customer-platform.example"]
    assert response == RESPONSE


def test_rows_of_the_version_for_other_headers_stay_readable() -> None:
    assert unpacked(bytes.fromhex(OTHER_VERSION)) == ('[["x-other","1"]]', RESPONSE)


@dataclass
class Row:
    delivery_id: str = DELIVERY_ID
    started_at: datetime = STARTED_AT
    plain_request_headers: str = "[]"
    plain_response_headers: bytes | None = None
    packed_heads: bytes | None = None


def test_a_row_is_read_packed_or_not() -> None:
    plain = Row(plain_request_headers='[["a","b"]]', plain_response_headers=RESPONSE)
    assert attempt_heads.read(plain) == ('[["a","b"]]', RESPONSE)
    assert attempt_heads.read(Row(plain_request_headers='[["a","b"]]')) == ('[["a","b"]]', b"")
    assert attempt_heads.read(Row(packed_heads=packed('[["a","b"]]'))) == ('[["a","b"]]', RESPONSE)


def test_a_version_of_later_code_shows_no_headers() -> None:
    assert unpacked(b"\x63whatever") == ("[]", b"")


def test_damage_is_told_apart_from_no_headers() -> None:
    with pytest.raises(zlib.error):
        unpacked(packed("[]")[:1] + b"\xff\xff")
