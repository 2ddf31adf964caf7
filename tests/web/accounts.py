"""What the tests of the pages about people and workspaces share."""

from typing import Any

from sqlalchemy import select

from tests.reading import captured
from tests.web.conftest import Page
from webhooks_app.db.models import AuditEntry
from webhooks_app.extensions import db

NEW_PASSWORD = "staple battery horse"


def fresh(statement: Any) -> Any:
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(statement)


def actions() -> list[str]:
    return list(fresh(select(AuditEntry.action).order_by(AuditEntry.id)))


def link_of(page: Page, home: str, email: str, role: str = "viewer") -> str:
    shown = page.post(f"{home}members/", {"email": email, "role": role})
    return captured(r'<code id="link">http://127.0.0.1:8000(/invitations/[^<]+)</code>', shown.text)
