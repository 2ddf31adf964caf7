"""Signatures, against Standard Webhooks' published vector and against the packages that consumers use."""

import base64
import importlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks

from webhooks_app.core import signing

PUBLISHED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLISHED_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
PUBLISHED_TIMESTAMP = 1614265330
PUBLISHED_BODY = b'{"test": 2432232314}'
PUBLISHED_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
# Between signing and verifying, a machine may stand still.
ROOM_SECONDS = 60

BODIES = [
    b'{"test": 2432232314}',
    b"{}",
    '{"city":"Zürich","mood":"🚀","word":"日本語"}'.encode(),
    b'{"a":"\\u0000\\ud83d\\ude00","b":"two. dots."}',
    json.dumps({"filler": "x" * 200_000}).encode(),
]


def sign(body: bytes, *secrets: str, sent_at: int | None = None) -> dict[str, str]:
    """The three headers of a delivery."""
    timestamp = int(time.time()) if sent_at is None else sent_at
    keys = [signing.key_of(secret) for secret in secrets]
    return {
        signing.ID_HEADER: "dlv_1",
        signing.TIMESTAMP_HEADER: str(timestamp),
        signing.SIGNATURE_HEADER: signing.signature(keys, message_id="dlv_1", timestamp=timestamp, body=body),
    }


def accepts(verifier: Any, secret: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        verifier(secret).verify(body, headers)
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


both = pytest.mark.parametrize("verifier", ["standardwebhooks", "svix"], indirect=True)


@pytest.fixture
def verifier(request: pytest.FixtureRequest) -> Any:
    """The class of a package, imported only here: svix would cost each test process half a second."""
    return importlib.import_module(request.param).Webhook


def test_the_published_vector_is_reproduced() -> None:
    key = signing.key_of(PUBLISHED_SECRET)
    made = signing.signature(
        [key], message_id=PUBLISHED_ID, timestamp=PUBLISHED_TIMESTAMP, body=PUBLISHED_BODY
    )
    assert made == PUBLISHED_SIGNATURE


@both
def test_the_published_vector_is_what_the_packages_compute(verifier: Any) -> None:
    moment = datetime.fromtimestamp(PUBLISHED_TIMESTAMP, UTC)
    assert (
        verifier(PUBLISHED_SECRET).sign(PUBLISHED_ID, moment, PUBLISHED_BODY.decode()) == PUBLISHED_SIGNATURE
    )


@both
@pytest.mark.parametrize("body", BODIES, ids=["published", "empty", "non-ascii", "escapes", "large"])
def test_what_we_sign_is_accepted(verifier: Any, body: bytes) -> None:
    secret = signing.new_secret()
    assert accepts(verifier, secret, body, sign(body, secret))


@both
def test_a_tampered_body_is_refused(verifier: Any) -> None:
    secret = signing.new_secret()
    headers = sign(b'{"amount":10}', secret)
    assert accepts(verifier, secret, b'{"amount":10}', headers)
    assert not accepts(verifier, secret, b'{"amount":99}', headers)


@both
@pytest.mark.parametrize(
    ("name", "tamper"),
    [(signing.ID_HEADER, lambda _: "dlv_2"), (signing.TIMESTAMP_HEADER, lambda value: str(int(value) + 1))],
    ids=["id", "timestamp"],
)
def test_a_tampered_header_is_refused(verifier: Any, name: str, tamper: Callable[[str], str]) -> None:
    secret = signing.new_secret()
    headers = sign(b"{}", secret, sent_at=int(time.time()) - 2)
    assert accepts(verifier, secret, b"{}", headers)
    assert not accepts(verifier, secret, b"{}", headers | {name: tamper(headers[name])})


@both
@pytest.mark.parametrize(
    ("age_seconds", "is_fresh"),
    [
        (signing.TOLERANCE_SECONDS - ROOM_SECONDS, True),
        (ROOM_SECONDS - signing.TOLERANCE_SECONDS, True),
        (signing.TOLERANCE_SECONDS + ROOM_SECONDS, False),
        (-signing.TOLERANCE_SECONDS - ROOM_SECONDS, False),
    ],
)
def test_a_timestamp_past_the_tolerance_is_refused(verifier: Any, age_seconds: int, is_fresh: bool) -> None:
    secret = signing.new_secret()
    headers = sign(b"{}", secret, sent_at=int(time.time()) - age_seconds)
    assert accepts(verifier, secret, b"{}", headers) is is_fresh


@both
def test_a_wrong_secret_is_refused(verifier: Any) -> None:
    assert not accepts(verifier, signing.new_secret(), b"{}", sign(b"{}", signing.new_secret()))


@both
@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_secret_in_force_verifies_and_no_other(verifier: Any, count: int) -> None:
    secrets = [signing.new_secret() for _ in range(count)]
    headers = sign(b"{}", *secrets)
    assert all(accepts(verifier, secret, b"{}", headers) for secret in secrets)
    assert not accepts(verifier, signing.new_secret(), b"{}", headers)


def test_signatures_stand_in_the_order_of_the_keys() -> None:
    keys = [b"a" * 32, b"b" * 32]
    both_signed = signing.signature(keys, message_id="dlv_1", timestamp=1, body=b"{}")
    one_by_one = [signing.signature([key], message_id="dlv_1", timestamp=1, body=b"{}") for key in keys]
    assert both_signed == " ".join(one_by_one)
    assert one_by_one[0] != one_by_one[1]


def test_the_body_is_signed_as_bytes_whatever_they_are() -> None:
    one, other = (
        signing.signature([b"k" * 32], message_id="dlv_1", timestamp=1, body=body)
        for body in (b"\xff\xfe\x00", b"\xff\xfe\x01")
    )
    assert one != other


def test_a_new_secret_is_32_random_bytes() -> None:
    secrets = {signing.new_secret() for _ in range(50)}
    assert len(secrets) == 50
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert (
            len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == signing.SECRET_BYTES == 32
        )
        assert signing.key_of(secret) == base64.b64decode(secret.removeprefix("whsec_"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "WHSEC_AAAA",
        "WHSEC_" + "AAAA" * 11,
        "AAAA" * 11,
        "whsec_A",
        "whsec_AA",
        "whsec_!!!!",
        "whsec_é",
        "whsec_AAAA\n",
        "whsec_ AAAA",
    ],
)
def test_what_is_not_a_secret_gives_no_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"signing secret|ASCII"):
        signing.key_of(text)


@pytest.mark.parametrize("stranger", ["!", " ", "\n", "-", "_", "\0"])
def test_a_secret_with_a_character_outside_base64_gives_no_key(stranger: str) -> None:
    half = "AAAA" * 8
    with pytest.raises(ValueError, match="base64"):
        signing.key_of(f"whsec_{half}{stranger}{half}")


@pytest.mark.parametrize("text", ["whsec_", "whsec_AAAA", "whsec_" + "AAAA" * 7])
def test_a_secret_too_short_to_protect_gives_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="signing secret"):
        signing.key_of(text)
