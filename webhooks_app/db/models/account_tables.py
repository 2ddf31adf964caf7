"""Workspaces, the people in them, the tokens of internal apps, and what everybody did."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, Boolean, ForeignKey, Index, Integer, String, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webhooks_app.db.models.base import Base, UtcDateTime, enum_column, public_id

_IS_OPEN = text("closed_at IS NULL")


class Role(StrEnum):
    ADMIN = "admin"
    VIEWER = "viewer"


class Workspace(Base):
    __tablename__ = "workspaces"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # How long what is finished stays in the log.
    retention_days: Mapped[int] = mapped_column(Integer, default=90)
    # How long its payload does; NULL, in workspaces older than this column, means as long as that.
    payload_days: Mapped[int | None] = mapped_column(Integer, default=30)
    # The last event that was looked at for that.
    payloads_erased_to: Mapped[str | None] = mapped_column(public_id())
    # What a new endpoint begins with.
    default_timeout_ms: Mapped[int] = mapped_column(Integer, default=5000, server_default="5000")
    # Addresses that notices go to instead of the admins'; empty: to the admins.
    notice_addresses: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")
    # Whether members without a second factor are led to set one up, and to nothing else.
    requires_second_factor: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())

    @property
    def kept_payload_days(self) -> int:
        """For how many days payloads are kept, which is never longer than the log."""
        return min(self.payload_days or self.retention_days, self.retention_days)


class User(Base):
    """A person who can sign in; a `Member` says to what."""

    # What Flask-Login asks of a user. Its own base class would have each worker load Flask.
    is_authenticated = is_active = True
    is_anonymous = False

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    password_hash: Mapped[str] = mapped_column(String(200))
    # Part of every session; changing it ends them all (log-out everywhere, password change).
    session_key: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Since when a log-in asks for a second factor; unset: the password is enough.
    second_factor_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    memberships: Mapped[list["Member"]] = relationship(back_populates="user", order_by="Member.workspace_id")

    def get_id(self) -> str:
        return f"{self.id}:{self.session_key}"


class Member(Base):
    __tablename__ = "members"

    workspace_id: Mapped[str] = mapped_column(
        ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[Role] = mapped_column(enum_column(Role))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Granted by a group of the identity provider, and withdrawn with it.
    is_from_groups: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    user: Mapped[User] = relationship(back_populates="memberships")
    workspace: Mapped[Workspace] = relationship()


class Invitation(Base):
    """A link that makes whoever has this e-mail address a member; good once, until it expires."""

    __tablename__ = "invitations"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(String(254))
    role: Mapped[Role] = mapped_column(enum_column(Role))
    # SHA-256 of the 256 random bits in the link.
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    invited_by: Mapped[str] = mapped_column(String(254))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Accepted or withdrawn.
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    workspace: Mapped[Workspace] = relationship()

    # One open invitation for each address.
    __table_args__ = (
        Index(
            "uq_invitations_open",
            "workspace_id",
            "email",
            unique=True,
            sqlite_where=_IS_OPEN,
            postgresql_where=_IS_OPEN,
        ),
    )


class ApiToken(Base):
    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    # SHA-256 of a token with 256 random bits: nothing to guess, so no slow hash is needed.
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(12))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # As `accounts/token_scopes.py` spells them; unset in tokens from before there were scopes.
    scopes: Mapped[str | None] = mapped_column(String(300))
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Events, through all processes together; unset: as the settings say. `core/rate_limit.py`.
    rate_per_second: Mapped[int | None] = mapped_column(Integer)
    burst: Mapped[int | None] = mapped_column(Integer)

    def is_live(self, now: datetime) -> bool:
        """Return whether requests with it are taken."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class TokenAllowance(Base):
    """What a token with a rate limit has used of it: `events/shared_allowances.py`."""

    __tablename__ = "token_allowances"

    token_id: Mapped[str] = mapped_column(ForeignKey("api_tokens.id", ondelete="CASCADE"), primary_key=True)
    # When all of it will be there again if nothing more is sent, by the database's clock.
    full_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When a request was last refused for it, give or take a minute.
    refused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LogInTries(Base):
    """How often a password was tried lately, by account, address or device: `accounts/log_in_limits.py`."""

    __tablename__ = "log_in_tries"

    # A hash of what is counted by.
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    tries: Mapped[int] = mapped_column(Integer)
    resets_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


_IS_REFUSAL = text("action = 'session.refuse'")


def _index_of_refusals(name: str, column: str) -> Index:
    return Index(name, column, "created_at", sqlite_where=_IS_REFUSAL, postgresql_where=_IS_REFUSAL)


class AuditEntry(Base):
    """Append-only: triggers refuse to change or delete a row."""

    __tablename__ = "audit_entries"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    workspace_id: Mapped[str | None] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    actor: Mapped[str] = mapped_column(String(254))
    action: Mapped[str] = mapped_column(String(60))
    target: Mapped[str] = mapped_column(String(200))
    details: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_audit_entries_workspace", "workspace_id", "id"),
        # What was done to one endpoint, for its page.
        Index("ix_audit_entries_target", "target", "id"),
        # What the limit on log-ins counted once; the version before an upgrade still does.
        _index_of_refusals("ix_audit_entries_refused_account", "actor"),
        _index_of_refusals("ix_audit_entries_refused_address", "address"),
    )
