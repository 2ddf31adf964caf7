"""Headers of attempts come back as they were, in an eighth of the space."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from webhooks_app.core import signing
from webhooks_app.db import attempt_heads
from webhooks_app.db.attempt_heads import Heads
from webhooks_app.db.response_dictionary import DICTIONARY

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
# Without what all requests of the endpoint carry.
THIRD_VERSION = (
    "0301000000000000000000000000000000000000000000000000000000000000000080027f3c2f5e0b1d4c1e9a531f"
    "0c4b8e2d111ba4810100"
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


def signed_by() -> str:
    key = signing.key_of(signing.new_secret())
    return signing.signature([key], message_id=DELIVERY_ID, timestamp=1, body=b"{}")


def packed(request_headers: str, response_headers: bytes = RESPONSE) -> bytes:
    return attempt_heads.pack(DELIVERY_ID, STARTED_AT, request_headers, response_headers)


def unpacked(content: bytes, constant: str | None = None) -> Heads:
    return attempt_heads.unpack(DELIVERY_ID, STARTED_AT, content, constant)


def constant_of(request_headers: str) -> str:
    """Return what follows the signature."""
    headers = json.loads(request_headers)[4:]
    return "".join("," + json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in headers)


def packed_variable(
    request_headers: str, response_headers: bytes = RESPONSE, constant: str = ""
) -> bytes | None:
    constant = constant or constant_of(request_headers)
    return attempt_heads.pack_variable(DELIVERY_ID, STARTED_AT, request_headers, response_headers, constant)


def test_what_a_worker_sent_takes_a_third_of_the_space() -> None:
    request = signed()
    content = packed(request)
    assert unpacked(content) == Heads(request, RESPONSE)
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
    assert unpacked(packed(request_headers, response_headers)) == Heads(request_headers, response_headers)


def test_what_is_packed_refers_to_the_same_text_for_years() -> None:
    digests = [hashlib.sha256(each).hexdigest() for each in (attempt_heads._DICTIONARY, DICTIONARY)]
    assert digests == [
        "07202f734d696d529b0579c99bd9c6e65b14ee5a91e0afcf207ed6a01504e88e",
        "68db6a13437a52c8e361eeac152e3c48966b1788a91635006c9daa1fbd323e77",
    ]


def test_rows_of_the_first_version_stay_readable() -> None:
    content = bytes.fromhex(FIRST_VERSION)
    request, response, _ = unpacked(content)
    assert json.loads(request)[3] == ["webhook-signature", f"v1,{'A' * 43}="]
    assert json.loads(request)[6] == [":authority", "hooks.customer-platform.example"]
    assert response == RESPONSE


def test_rows_of_the_version_for_other_headers_stay_readable() -> None:
    assert unpacked(bytes.fromhex(OTHER_VERSION)) == Heads('[["x-other","1"]]', RESPONSE)


def test_rows_of_the_version_without_constant_headers_stay_readable() -> None:
    request = signed(signature=f"v1,{'A' * 43}=")
    assert unpacked(bytes.fromhex(THIRD_VERSION), constant_of(request)) == Heads(request, RESPONSE)


@pytest.mark.parametrize("signatures", [1, 2, 3])
def test_without_what_is_constant_an_eighth_of_the_space_is_taken(signatures: int) -> None:
    request = signed(signature=" ".join([signed_by()] * signatures))
    content = packed_variable(request)
    assert content is not None
    assert unpacked(content, constant_of(request)) == Heads(request, RESPONSE)
    assert len(content) - 32 * (signatures - 1) < (len(request) + len(RESPONSE)) / 8


@pytest.mark.parametrize(
    "request_headers",
    [
        "[]",
        signed(signature="v1,AAAA"),
        signed(signature=f"v1,{'A' * 42}B="),  # bits that no bytes stand for
        signed(signature=f"v1,{'A' * 43}= "),
        signed(signature=f"v1a,{'A' * 43}="),
        signed(signature=" ".join([f"v1,{'A' * 43}="] * 256)),
        signed(timestamp=1),
        signed(delivery_id="dlv_06h1f25lcgnh21lm0p3of2gnh0"),
        signed(more="Grüße"),
    ],
)
def test_what_is_no_such_request_is_packed_whole(request_headers: str) -> None:
    assert packed_variable(request_headers, constant=constant_of(signed())) is None


def test_a_response_that_holds_what_no_header_should_is_packed_whole() -> None:
    assert packed_variable(signed(), b"HTTP/1.1 200 OK\r\nx: \x01\r\n\r\n") is None


def test_without_the_row_of_what_is_constant_the_response_is_left() -> None:
    content = packed_variable(signed())
    assert content is not None
    assert unpacked(content) == Heads(response=RESPONSE, is_damaged=True)


@dataclass
class Row:
    delivery_id: str = DELIVERY_ID
    started_at: datetime = STARTED_AT
    plain_request_headers: str = "[]"
    plain_response_headers: bytes | None = None
    packed_heads: bytes | None = None
    constant_headers: str | None = None


def test_a_row_is_read_packed_or_not() -> None:
    plain = Row(plain_request_headers='[["a","b"]]', plain_response_headers=RESPONSE)
    assert attempt_heads.read(plain) == Heads('[["a","b"]]', RESPONSE)
    assert attempt_heads.read(Row(plain_request_headers='[["a","b"]]')) == Heads('[["a","b"]]')
    assert attempt_heads.read(Row(packed_heads=packed('[["a","b"]]'))) == Heads('[["a","b"]]', RESPONSE)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x63whatever", b"\x01", b"\x02", b"\x03", b"\x03\x01", packed("[]")[:1] + b"\xff\xff"],
)
def test_what_cannot_be_read_is_told_apart_from_no_headers(content: bytes) -> None:
    assert unpacked(content, "") == Heads(is_damaged=True)


@pytest.mark.parametrize(
    "whole",
    [packed(signed()), packed("[]"), packed_variable(signed()) or b""],
    ids=["signed", "whole", "constant"],
)
def test_what_was_cut_or_goes_on_is_damaged(whole: bytes) -> None:
    constant = constant_of(signed())
    assert not unpacked(whole, constant).is_damaged
    for content in (*(whole[:length] for length in range(len(whole))), whole + b"\0"):
        assert unpacked(content, constant).is_damaged
