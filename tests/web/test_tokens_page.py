"""API tokens: shown once, used, revoked."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.conftest import Workspace
from tests.reading import captured
from tests.web.accounts import actions, fresh
from tests.web.conftest import Page
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken


def test_a_token_is_shown_once_works_and_can_be_revoked(
    admin_page: Page, home: str, workspace: Workspace, app: Flask
) -> None:
    shown = admin_page.post(
        f"{home}tokens/", {"name": " Billing ", "scopes": ["events:send", "deliveries:read"]}
    )
    token = captured(r'<code id="token">(tok_[^<]+)</code>', shown.text)
    assert shown.headers["Cache-Control"] == "no-store"
    assert token not in admin_page.get(f"{home}tokens/").text
    headers = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/api/v1/event-types", headers=headers).status_code == 200
    row = fresh(select(ApiToken).where(ApiToken.name == "Billing")).one()
    assert row.last_used_at is not None
    assert (row.scopes, row.expires_at) == ("events:send deliveries:read", None)

    answer = admin_page.post(f"{home}tokens/{row.id}/revoke")
    assert "“Billing” revoked" in admin_page.get(answer.location).text
    assert app.test_client().get("/api/v1/event-types", headers=headers).status_code == 401
    again = admin_page.post(f"{home}tokens/{row.id}/revoke")
    assert "revoked already" in admin_page.get(again.location).text
    assert actions().count("token.revoke") == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\0b", "\u200b", "\u202eabc"])
def test_a_token_needs_a_name(admin_page: Page, home: str, name: str) -> None:
    before = len(fresh(select(ApiToken)).all())
    refused = admin_page.post(f"{home}tokens/", {"name": name, "scopes": "events:send"})
    assert refused.status_code == 422
    assert 'id="name-error"' in refused.text
    assert len(fresh(select(ApiToken)).all()) == before


def test_a_viewer_sees_tokens_but_no_buttons(viewer_page: Page, home: str) -> None:
    text = viewer_page.get(f"{home}tokens/").text
    assert "test" in text
    assert "Revoke" not in text.replace("Revoke</span>", "")
    assert "Create token" not in text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["events:send", "everything"]}, "scopes"),
        ({"lifetime": "soon"}, "lifetime"),
    ],
)
def test_what_a_token_may_do_and_until_when_is_checked(
    admin_page: Page, home: str, wrong: dict[str, object], field: str
) -> None:
    before = len(fresh(select(ApiToken)).all())
    refused = admin_page.post(f"{home}tokens/", {"name": "Billing", "scopes": "events:send"} | wrong)
    assert refused.status_code == 422
    assert f'id="{field}-error"' in refused.text
    assert len(fresh(select(ApiToken)).all()) == before


def test_a_token_that_expires_is_listed_with_its_end_and_then_apart(
    admin_page: Page, home: str, database: WriteDatabase
) -> None:
    typed = {"name": "Billing", "scopes": "endpoints:read", "lifetime": "30"}
    shown = admin_page.post(f"{home}tokens/", typed)
    assert 'id="sample"' not in shown.text  # it could not send that event
    row = fresh(select(ApiToken).where(ApiToken.name == "Billing")).one()
    assert row.expires_at is not None
    assert timedelta(days=29) < row.expires_at - clock.now() <= timedelta(days=30)
    text = admin_page.get(f"{home}tokens/").text
    assert "endpoints:read</span>" in text
    assert "Revoked and expired API tokens" not in text

    with database.begin() as connection:
        expired = update(ApiToken).where(ApiToken.id == row.id)
        connection.execute(expired.values(expires_at=clock.now()))
    assert "1 revoked or expired" in admin_page.get(f"{home}tokens/").text
