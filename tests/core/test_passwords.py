import re
from collections.abc import Iterator
from typing import Literal

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from webhooks_app.core import passwords

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module", autouse=True)
def full_cost(real_hasher: PasswordHasher) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", real_hasher)
        yield


@pytest.fixture(scope="module")
def hashed(full_cost: None) -> str:
    return passwords.hash_password(PASSWORD)


def test_a_password_is_kept_as_argon2id_with_the_parameters_of_rfc_9106(hashed: str) -> None:
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PASSWORD not in hashed


def test_the_same_password_never_hashes_alike(hashed: str) -> None:
    other = passwords.hash_password(PASSWORD)
    assert other != hashed
    assert passwords.is_password(PASSWORD, other)


def test_the_right_password_is_accepted(hashed: str) -> None:
    assert passwords.is_password(PASSWORD, hashed) is True


@pytest.mark.parametrize(
    "wrong", ["", "Correct horse battery", PASSWORD + " ", PASSWORD + "\0", "x" * 10_000]
)
def test_a_wrong_password_is_refused(hashed: str, wrong: str) -> None:
    assert passwords.is_password(wrong, hashed) is False


def test_a_password_may_hold_any_characters() -> None:
    password = "Пароль\0🚀 ß"
    assert passwords.is_password(password, passwords.hash_password(password))


@pytest.mark.parametrize("hashed", [None, ""])
def test_nobody_has_no_password(hashed: str | None) -> None:
    assert passwords.is_password(PASSWORD, hashed) is False


def test_the_hash_that_is_checked_for_unknown_users_costs_what_others_do(hashed: str) -> None:
    assert extract_parameters(passwords._hash_of_nobody()) == extract_parameters(hashed)


def test_the_hash_that_is_checked_for_unknown_users_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = passwords.hash_password("nobody")
    monkeypatch.setattr(passwords, "_hash_of_nobody", lambda: nobody)
    assert passwords.is_password("nobody", nobody) is True
    assert passwords.is_password("nobody", None) is False


@pytest.mark.parametrize(
    "damaged", ["x", "$argon2id$", "$2b$12$abc", "$argon2id$v=19$m=65536,t=3,p=4$AAAA$AAAA"]
)
def test_a_damaged_hash_refuses_everyone(damaged: str) -> None:
    assert passwords.is_password(PASSWORD, damaged) is False


class RecordingHasher(PasswordHasher):
    """Keeps the parameters of the checks that were computed to the end and found a wrong password."""

    def __init__(self) -> None:
        super().__init__()
        self.mismatches: list[Parameters] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        try:
            return super().verify(hash, password)
        except VerifyMismatchError:
            self.mismatches.append(extract_parameters(str(hash)))
            raise


def test_an_unknown_user_takes_the_same_check_as_a_known_one(
    hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = RecordingHasher()
    monkeypatch.setattr(passwords, "_hasher", hasher)
    assert not passwords.is_password("wrong", hashed)
    assert not passwords.is_password("wrong", None)
    known, unknown = hasher.mismatches
    assert known == unknown


def test_a_token_is_256_random_bits_after_its_prefix() -> None:
    tokens = {passwords.new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(re.fullmatch(r"tok_[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_a_links_secret_is_256_random_bits() -> None:
    secrets = {passwords.new_link_token() for _ in range(1000)}
    assert len(secrets) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", secret) for secret in secrets)


def test_a_token_is_kept_as_its_sha_256() -> None:
    # FIPS 180-4's example of a one-block message
    assert passwords.hash_token("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_similar_tokens_hash_differently() -> None:
    token = passwords.new_token()
    assert passwords.hash_token(token) == passwords.hash_token(token)
    assert passwords.hash_token(token) != passwords.hash_token(token.swapcase())
    assert token.removeprefix("tok_") not in passwords.hash_token(token)
