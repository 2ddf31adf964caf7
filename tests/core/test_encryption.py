import pytest
from cryptography.fernet import Fernet

from webhooks_app.core.encryption import Cipher, DecryptionError

OLD, NEW, FOREIGN = (Fernet.generate_key().decode() for _ in range(3))


@pytest.mark.parametrize(
    "plaintext", ["", "whsec_abc", '[["X-Token", "söcret 🚀"]]', "a\0b", "x" * 100_000, "line\nline"]
)
def test_what_is_encrypted_decrypts_for_its_owner(plaintext: str) -> None:
    cipher = Cipher([NEW])
    assert cipher.decrypt("ep_1", cipher.encrypt("ep_1", plaintext)) == plaintext


def test_a_ciphertext_shows_nothing_and_never_repeats() -> None:
    cipher = Cipher([NEW])
    one, other = cipher.encrypt("ep_1", "whsec_abc"), cipher.encrypt("ep_1", "whsec_abc")
    assert "whsec_abc" not in one
    assert one != other


@pytest.mark.parametrize("owner", ["ep_2", "", "ep_", "ep_11", "EP_1", "ep_1\0secret"])
def test_a_ciphertext_moved_to_another_row_does_not_decrypt(owner: str) -> None:
    cipher = Cipher([NEW])
    ciphertext = cipher.encrypt("ep_1", "secret")
    with pytest.raises(DecryptionError, match="another row"):
        cipher.decrypt(owner, ciphertext)


def test_a_row_stays_refused_after_its_owner_has_read_it() -> None:
    cipher = Cipher([NEW])
    ciphertext = cipher.encrypt("ep_1", "secret")
    assert cipher.decrypt("ep_1", ciphertext) == "secret"
    for _ in range(2):
        with pytest.raises(DecryptionError):
            cipher.decrypt("ep_2", ciphertext)


def test_a_new_key_reads_nothing_of_an_old_one_that_is_gone() -> None:
    ciphertext = Cipher([OLD]).encrypt("ep_1", "secret")
    with pytest.raises(DecryptionError, match="no key"):
        Cipher([NEW, FOREIGN]).decrypt("ep_1", ciphertext)


def test_old_rows_are_readable_while_keys_rotate() -> None:
    ciphertext = Cipher([OLD]).encrypt("ep_1", "secret")
    assert Cipher([NEW, OLD]).decrypt("ep_1", ciphertext) == "secret"


def test_the_first_key_encrypts() -> None:
    ciphertext = Cipher([NEW, OLD]).encrypt("ep_1", "secret")
    assert Cipher([NEW]).decrypt("ep_1", ciphertext) == "secret"
    with pytest.raises(DecryptionError):
        Cipher([OLD]).decrypt("ep_1", ciphertext)


def test_a_rotated_row_needs_only_the_newest_key_and_keeps_its_owner() -> None:
    rotated = Cipher([NEW, OLD]).rotate(Cipher([OLD]).encrypt("ep_1", "secret"))
    only_new = Cipher([NEW])
    assert only_new.decrypt("ep_1", rotated) == "secret"
    with pytest.raises(DecryptionError, match="another row"):
        only_new.decrypt("ep_2", rotated)


def test_what_no_key_opens_is_not_rotated() -> None:
    with pytest.raises(DecryptionError, match="no key"):
        Cipher([NEW]).rotate(Cipher([FOREIGN]).encrypt("ep_1", "secret"))


@pytest.mark.parametrize("damage", ["", "x", "é", "gAAAA", "\0"])
def test_what_is_no_ciphertext_is_refused(damage: str) -> None:
    with pytest.raises(DecryptionError, match="no key"):
        Cipher([NEW]).decrypt("ep_1", damage)


@pytest.mark.parametrize("position", [0, 20, 60, 100])
def test_a_changed_ciphertext_is_refused(position: int) -> None:
    cipher = Cipher([NEW])
    ciphertext = cipher.encrypt("ep_1", "a secret long enough to be changed anywhere")
    changed = "A" if ciphertext[position] != "A" else "B"
    with pytest.raises(DecryptionError):
        cipher.decrypt("ep_1", ciphertext[:position] + changed + ciphertext[position + 1 :])


def test_errors_show_neither_plaintext_nor_ciphertext_nor_owner() -> None:
    cipher = Cipher([NEW])
    ciphertext = cipher.encrypt("ep_1", "secret-value")
    with pytest.raises(DecryptionError) as caught:
        cipher.decrypt("ep_2", ciphertext)
    assert not any(word in str(caught.value) for word in ("secret-value", ciphertext, "ep_1"))
