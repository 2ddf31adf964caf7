"""Read the audit log of a workspace, newest first, by keyset."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from webhooks_app.accounts.audit import ACTIONS
from webhooks_app.core import ids, url_masking
from webhooks_app.db import keyset
from webhooks_app.db.keyset import Search, SearchLimits
from webhooks_app.db.models import AuditEntry, Endpoint, User

PAGE_SIZE = 50
# For one page; with a filter that little matches, the reader goes on from where it ended.
LIMITS = SearchLimits(rows=5000, seconds=math.inf, chunk_rows=5000)
LONGEST_TEXT = 200
# What is done to what, by the part of an action's name before the dot.
KINDS = {
    "endpoint": "Endpoints",
    "secret": "Signing secrets",
    "delivery": "Deliveries",
    "recovery": "Recoveries",
    "token": "API tokens",
    "member": "Members",
    "workspace": "Settings",
    "session": "Log-ins",
    "profile": "Profiles",
    "passkey": "Passkeys",
    "sso": "Single sign-on",
    "second_factor": "Two-factor authentication",
}


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """`q` is part of an actor's name or of an address, or a whole id that something was done to."""

    q: str = ""
    kind: str = ""

    @property
    def arguments(self) -> dict[str, str]:
        return {name: value for name, value in (("q", self.q), ("kind", self.kind)) if value}


@dataclass(frozen=True, slots=True)
class AuditLine:
    id: str
    at: datetime
    actor: str
    action: str
    description: str
    target: str
    target_name: str
    details: dict[str, Any]
    address: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """`older` goes on from here, empty at the end; `searched_to` is set where the page is not full."""

    entries: list[AuditLine]
    older: str = ""
    searched_to: datetime | None = None


class BadCursor(ValueError):
    """The cursor is no entry's id."""


def parse(arguments: Mapping[str, str]) -> AuditFilter:
    """Return the filter of a URL's arguments; what cannot be one is left out."""
    kind = arguments.get("kind", "")
    q = arguments.get("q", "").replace("\0", "").strip()[:LONGEST_TEXT]
    return AuditFilter(q, kind if kind in KINDS else "")


def read_page(
    session: Session,
    workspace_id: str,
    audit_filter: AuditFilter,
    *,
    before: str = "",
    limits: SearchLimits = LIMITS,
) -> AuditPage:
    """Return a page of the entries before the entry `before`. Raises BadCursor."""
    if before and not ids.is_id("aud", before):
        raise BadCursor(before)
    is_owned = AuditEntry.workspace_id == workspace_id
    search = Search(AuditEntry.id, [[is_owned]], AuditEntry.id, _conditions(audit_filter))
    result = keyset.find(session, search, "aud_", before or "aud_~", limit=PAGE_SIZE, limits=limits)
    named = select(AuditEntry).where(AuditEntry.id.in_(result.ids)).order_by(AuditEntry.id.desc())
    entries = _as_audit_lines(session, session.scalars(named).all())
    if result.reached:
        return AuditPage(entries, result.reached, ids.created_at(result.reached))
    return AuditPage(entries, result.ids[-1] if result.has_more else "")


def _conditions(audit_filter: AuditFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if audit_filter.kind:
        found.append(AuditEntry.action.startswith(f"{audit_filter.kind}.", autoescape=True))
    if audit_filter.q:
        found.append(
            AuditEntry.actor.icontains(audit_filter.q, autoescape=True)
            | AuditEntry.address.startswith(audit_filter.q, autoescape=True)
            | (AuditEntry.target == audit_filter.q)
        )
    return found


def _as_audit_lines(session: Session, rows: Any) -> list[AuditLine]:
    names = _target_names(session, {row.target for row in rows})
    return [
        AuditLine(
            id=row.id,
            at=row.created_at,
            actor=row.actor,
            action=row.action,
            description=ACTIONS.get(row.action, row.action),
            target=row.target,
            target_name=names.get(row.target, ""),
            details=_details(row.details),
            address=row.address,
        )
        for row in rows
    ]


def _details(stored: str) -> dict[str, Any]:
    """Return the details; rows from before URLs were masked hold them whole."""
    details: dict[str, Any] = json.loads(stored)
    if isinstance(details.get("url"), str):
        details["url"] = url_masking.mask_url(details["url"])
    return details


def _target_names(session: Session, targets: set[str]) -> dict[str, str]:
    """Of the endpoints and people among them, in one query each."""
    found: dict[str, str] = {}
    for column, name, prefix in ((Endpoint.id, Endpoint.name, "ep_"), (User.id, User.name, "usr_")):
        some = [target for target in targets if target.startswith(prefix)]
        if some:
            found |= {row[0]: row[1] for row in session.execute(select(column, name).where(column.in_(some)))}
    return found
