"""What a browser is asked of passkeys, and whether its answer holds (WebAuthn level 3, sections 7.1 and 7.2).

The device verifies the person each time, by a finger, a face or a PIN. The library that checks the answers is
loaded at the first one.
"""

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import idna

from webhooks_app.accounts import passkey_challenges
from webhooks_app.accounts.passkey_challenges import BadChallenge
from webhooks_app.core import clock, ip_addresses
from webhooks_app.db.models import Passkey, User

if TYPE_CHECKING:
    from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
    from webauthn.registration.verify_registration_response import VerifiedRegistration

LARGEST_ANSWER = 32 * 1024
# Base64url of at most 1,023 bytes; it is looked up, and no database takes every text that JSON can spell.
_CREDENTIAL_ID = re.compile(r"[A-Za-z0-9_-]{1,1364}")


class PasskeyRefused(Exception):
    """What came is not a passkey's answer to what was asked; the message is for the log."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom passkeys are made for: the host of the console's address, and that address without its path."""

    host: str
    origin: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class PasskeyAnswer:
    """What a device said: to which question, asked when, and of which passkey."""

    text: str
    challenge: bytes
    asked_at: datetime
    credential_id: str
    user_handle: str


def relying_party(base_url: str, secret_key: str) -> RelyingParty | None:
    """Return it; None for an address that is a number, to which browsers bind no passkey."""
    parts = urlsplit(base_url)
    if not parts.hostname or ip_addresses.is_address(parts.hostname):
        return None
    host = idna.encode(parts.hostname, uts46=True).decode()
    port = f":{parts.port}" if parts.port else ""
    return RelyingParty(host, f"{parts.scheme}://{host}{port}", secret_key)


def creation_options(party: RelyingParty, user: User, known: Sequence[Passkey], *, browser: str) -> str:
    """Return what the browser's `create` takes, as JSON."""
    from webauthn import base64url_to_bytes, generate_registration_options, options_to_json
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = generate_registration_options(
        rp_id=party.host,
        rp_name="Avra",
        user_id=user.id.encode(),
        user_name=user.email,
        user_display_name=user.name,
        challenge=passkey_challenges.new(
            party.secret_key, registration_purpose(user.id, browser), now=clock.now()
        ),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(each.credential_id)) for each in known
        ],
    )
    return options_to_json(options)


def request_options(party: RelyingParty, *, browser: str) -> str:
    """Return what the browser's `get` takes, as JSON; which account it is the passkey says."""
    challenge = passkey_challenges.new(party.secret_key, log_in_purpose(browser), now=clock.now())
    # As the library would write it, which is not loaded for every view of the log-in page.
    return json.dumps(
        {
            "challenge": base64url(challenge),
            "rpId": party.host,
            "timeout": 60_000,
            "userVerification": "required",
        }
    )


def parse(party: RelyingParty, text: str, purpose: str) -> PasskeyAnswer:
    """Return the answer, which nothing but its challenge has been checked of. Raises PasskeyRefused."""
    from webauthn import base64url_to_bytes

    try:
        found = json.loads(text[: LARGEST_ANSWER + 1])
        signed = json.loads(base64url_to_bytes(found["response"]["clientDataJSON"]))
        challenge = base64url_to_bytes(signed["challenge"])
        asked_at = passkey_challenges.issued_at(party.secret_key, purpose, challenge, now=clock.now())
        handle = found["response"].get("userHandle") or ""
        credential_id = str(found["id"])
        if not _CREDENTIAL_ID.fullmatch(credential_id):
            raise ValueError
        return PasskeyAnswer(text, challenge, asked_at, credential_id, str(handle))
    except (BadChallenge, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise PasskeyRefused(f"no answer to us: {type(error).__name__}") from None


def verify_new(party: RelyingParty, answer: PasskeyAnswer) -> "VerifiedRegistration":
    """Return the passkey that was made. Raises PasskeyRefused."""
    from webauthn import verify_registration_response

    try:
        return verify_registration_response(
            credential=answer.text,
            expected_challenge=answer.challenge,
            expected_rp_id=party.host,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except _malformed() as error:
        raise PasskeyRefused(f"{type(error).__name__}: {str(error)[:200]}") from None


def verify(party: RelyingParty, answer: PasskeyAnswer, known: Passkey) -> "VerifiedAuthentication":
    """Return what the passkey has proved. Raises PasskeyRefused."""
    from webauthn import verify_authentication_response

    try:
        return verify_authentication_response(
            credential=answer.text,
            expected_challenge=answer.challenge,
            expected_rp_id=party.host,
            expected_origin=party.origin,
            credential_public_key=known.public_key,
            credential_current_sign_count=known.sign_count,
            require_user_verification=True,
        )
    except _malformed() as error:
        raise PasskeyRefused(f"{type(error).__name__}: {str(error)[:200]}") from None


def registration_purpose(user_id: str, browser: str) -> str:
    return f"add {user_id} {browser}"


def log_in_purpose(browser: str) -> str:
    return f"log in {browser}"


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _malformed() -> tuple[type[Exception], ...]:
    """Return what the library and its parsers raise for what is no answer of a device."""
    from webauthn.helpers.exceptions import WebAuthnException

    return (WebAuthnException, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
