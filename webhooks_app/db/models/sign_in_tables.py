"""How people sign in: their sessions, identities elsewhere, second factors and passkeys."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base, UtcDateTime, enum_column, public_id

LONGEST_USER_AGENT = 300


class SignInMethod(StrEnum):
    """`UNKNOWN`: of a version that did not keep it."""

    PASSWORD = "password"
    INVITATION = "invitation"
    LINK = "link"
    PASSKEY = "passkey"
    SSO = "sso"
    UNKNOWN = "unknown"


class UserSession(Base):
    """A browser in which somebody is logged in. One that has ended stays for a while, as a refusal."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # SHA-256 of what the cookie holds.
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    method: Mapped[SignInMethod] = mapped_column(enum_column(SignInMethod))
    # From where, and with which browser, it was last used.
    address: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(LONGEST_USER_AGENT))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_sessions_user_id", "user_id", "last_seen_at"),)


class ExternalIdentity(Base):
    """Whom a provider has named, and whose account that is."""

    __tablename__ = "external_identities"

    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TotpSecret(Base):
    """An authenticator app of a person's; unconfirmed, until its first code was typed."""

    __tablename__ = "totp_secrets"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    # Encrypted for that person.
    secret_encrypted: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # The time step of the newest code that was taken; that code and older ones are refused.
    last_step: Mapped[int | None] = mapped_column(BigInteger)


class RecoveryCode(Base):
    """Good once, in place of a second factor."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    # SHA-256 of the person's id and the 80 random bits.
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Passkey(Base):
    """A key that a device of a person's keeps; of it the public half."""

    __tablename__ = "passkeys"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    # In base64url; of at most 1,023 bytes (WebAuthn level 3, section 4).
    credential_id: Mapped[str] = mapped_column(String(1400), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    # How often it was used, as the device says; devices that share a passkey say 0.
    sign_count: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When the newest question was asked that it has answered: older ones are over.
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SecurityMail(Base):
    """What somebody is to be told of a change of their account: an action of the audit log, until it is sent.

    It has no foreign key, as an account that was removed is one of them.
    """

    __tablename__ = "security_mails"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    action: Mapped[str] = mapped_column(String(60))
    actor: Mapped[str] = mapped_column(String(254))
    address: Mapped[str] = mapped_column(String(64))
    details: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(SmallInteger)
