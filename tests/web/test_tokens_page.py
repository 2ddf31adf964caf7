"""API tokens: shown once, used, revoked."""

import pytest
from flask import Flask
from sqlalchemy import select

from tests.conftest import Workspace
from tests.reading import captured
from tests.web.accounts import actions, fresh
from tests.web.conftest import Page
from webhooks_app.db.models import ApiToken


def test_a_token_is_shown_once_works_and_can_be_revoked(
    admin_page: Page, home: str, workspace: Workspace, app: Flask
) -> None:
    shown = admin_page.post(f"{home}tokens/", {"name": " Billing "})
    token = captured(r'<code id="token">(tok_[^<]+)</code>', shown.text)
    assert shown.headers["Cache-Control"] == "no-store"
    assert token not in admin_page.get(f"{home}tokens/").text
    headers = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/api/v1/event-types", headers=headers).status_code == 200
    row = fresh(select(ApiToken).where(ApiToken.name == "Billing")).one()
    assert row.last_used_at is not None

    answer = admin_page.post(f"{home}tokens/{row.id}/revoke")
    assert "“Billing” revoked" in admin_page.get(answer.location).text
    assert app.test_client().get("/api/v1/event-types", headers=headers).status_code == 401
    again = admin_page.post(f"{home}tokens/{row.id}/revoke")
    assert "revoked already" in admin_page.get(again.location).text
    assert actions().count("token.revoke") == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\0b", "\u200b", "\u202eabc"])
def test_a_token_needs_a_name(admin_page: Page, home: str, name: str) -> None:
    before = len(fresh(select(ApiToken)).all())
    refused = admin_page.post(f"{home}tokens/", {"name": name})
    assert refused.status_code == 422
    assert 'id="name-error"' in refused.text
    assert len(fresh(select(ApiToken)).all()) == before


def test_a_viewer_sees_tokens_but_no_buttons(viewer_page: Page, home: str) -> None:
    text = viewer_page.get(f"{home}tokens/").text
    assert "test" in text
    assert "Revoke" not in text.replace("Revoke</span>", "")
    assert "Create token" not in text
