"""Codes of an authenticator app, as RFC 6238 has them."""

from base64 import b32encode
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from webhooks_app.accounts import totp

RFC_SECRET = b32encode(b"12345678901234567890").decode()
NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_codes_of_the_rfc(seconds: int, code: str) -> None:
    """Appendix B, of whose eight digits six are left."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert totp.code_of(RFC_SECRET, totp.step_at(moment)) == code


@pytest.mark.parametrize(("steps", "is_taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_a_step_off(steps: int, is_taken: bool) -> None:
    secret = totp.new_secret()
    wanted = totp.step_at(NOW) + steps
    found = totp.matching_step(secret, totp.code_of(secret, wanted), NOW)
    assert found == (wanted if is_taken else None)


@pytest.mark.parametrize("code", ["", "1", "12345", "abcdef", "１２３４５６", "é", "12345\ud800"])
def test_what_is_no_code_matches_nothing(code: str) -> None:
    assert totp.matching_step(totp.new_secret(), code, NOW) is None


def test_the_app_is_told_whose_code_it_is() -> None:
    parts = urlsplit(totp.uri("ABC", "a+b@example.com", "Avra: /x"))
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert parts.path == "/Avra%3A%20%2Fx:a%2Bb%40example.com"
    assert parse_qs(parts.query) == {"secret": ["ABC"], "issuer": ["Avra: /x"]}


def test_a_secret_is_160_bits_and_of_no_other_one() -> None:
    assert len(totp.new_secret()) == 32
    assert totp.new_secret() != totp.new_secret()
