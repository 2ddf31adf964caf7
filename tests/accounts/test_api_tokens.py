"""API tokens: what is kept of one, and what the audit log says, on both databases."""

import json

import pytest
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from webhooks_app.accounts import api_tokens
from webhooks_app.core import passwords
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken, AuditEntry
from webhooks_app.extensions import db


def tokens(workspace: Workspace) -> list[ApiToken]:
    db.session.rollback()
    chosen = select(ApiToken).where(ApiToken.workspace_id == workspace.id, ApiToken.name == "billing")
    return list(db.session.scalars(chosen))


def audited(action: str) -> list[tuple[str, str, str]]:
    db.session.rollback()
    chosen = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
    return [
        (each.actor, each.target, json.loads(each.details)["name"]) for each in db.session.scalars(chosen)
    ]


@pytest.fixture
def token(workspace: Workspace, database: WriteDatabase) -> str:
    return api_tokens.create(database, workspace.id, "billing", actor=TESTER)


def test_of_a_token_its_hash_and_a_hint_are_kept(workspace: Workspace, token: str) -> None:
    [kept] = tokens(workspace)
    assert kept.id.startswith("tok_")
    assert kept.token_hash == passwords.hash_token(token)
    assert (kept.hint, len(kept.hint)) == (token[:8], 8)
    assert kept.revoked_at is None


def test_a_token_is_audited_when_created_and_when_revoked(
    workspace: Workspace, database: WriteDatabase, token: str
) -> None:
    [kept] = tokens(workspace)
    assert audited("token.create")[-1] == (TESTER.name, kept.id, "billing")

    assert api_tokens.revoke(database, kept, actor=TESTER)
    assert not api_tokens.revoke(database, kept, actor=TESTER)

    assert audited("token.revoke") == [(TESTER.name, kept.id, "billing")]
    assert tokens(workspace)[0].revoked_at is not None
    assert token not in str(audited("token.create"))
