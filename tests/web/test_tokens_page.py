"""API tokens: shown once, used, revoked."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import insert, select, update
from werkzeug.test import TestResponse

from tests.conftest import Workspace
from tests.reading import captured
from tests.web.accounts import actions, fresh
from tests.web.conftest import Page
from webhooks_app.core import clock
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken, TokenAllowance
from webhooks_app.extensions import services


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
        ({"rate": "0"}, "rate"),
        ({"rate": "100001"}, "rate"),
        ({"rate": "5", "burst": "many"}, "burst"),
        ({"burst": "5"}, "burst"),
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


def token_row(name: str) -> ApiToken:
    found: ApiToken = fresh(select(ApiToken).where(ApiToken.name == name)).one()
    return found


def test_a_token_is_made_with_a_rate_limit_that_can_be_changed(
    admin_page: Page, home: str, workspace: Workspace, database: WriteDatabase
) -> None:
    typed = {"name": "Billing", "scopes": "events:send", "rate": "50", "burst": "600"}
    admin_page.post(f"{home}tokens/", typed)
    row = token_row("Billing")
    assert (row.rate_per_second, row.burst) == (50, 600)
    assert "50 events a second, 600 at once at most" in admin_page.get(f"{home}tokens/").text

    page = admin_page.get(f"{home}tokens/{row.id}/limit").text
    assert 'value="50"' in page
    assert 'value="600"' in page
    refused = admin_page.post(f"{home}tokens/{row.id}/limit", {"rate": "0", "burst": "600"})
    assert refused.status_code == 422
    assert 'id="rate-error"' in refused.text
    answer = admin_page.post(f"{home}tokens/{row.id}/limit", {"rate": "7", "burst": ""})
    assert "is changed" in admin_page.get(answer.location).text
    row = token_row("Billing")
    assert (row.rate_per_second, row.burst) == (7, None)
    assert actions().count("token.limit") == 1

    with database.begin() as connection:
        connection.execute(
            insert(TokenAllowance).values(token_id=row.id, full_at=clock.now(), refused_at=clock.now())
        )
    assert "at most; exceeded" in admin_page.get(f"{home}tokens/").text

    admin_page.post(f"{home}tokens/{row.id}/revoke")
    late = admin_page.post(f"{home}tokens/{row.id}/limit", {"rate": "9", "burst": ""})
    assert "is revoked; its rate limit stays" in admin_page.get(late.location).text
    assert token_row("Billing").rate_per_second == 7


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_rate_limit_is_for_admins_of_the_workspace_alone(
    admin_page: Page,
    viewer_page: Page,
    anonymous_page: Page,
    home: str,
    make_workspace: Callable[[str], Workspace],
    method: str,
) -> None:
    def ask(page: Page, url: str) -> TestResponse:
        return page.get(url) if method == "GET" else page.post(url, {"rate": "5"})

    row = token_row("test")
    assert ask(viewer_page, f"{home}tokens/{row.id}/limit").status_code == 403
    assert "/login" in ask(anonymous_page, f"{home}tokens/{row.id}/limit").location
    other = make_workspace("Other")
    theirs = fresh(select(ApiToken).where(ApiToken.workspace_id == other.id)).one()
    assert ask(admin_page, f"{home}tokens/{theirs.id}/limit").status_code == 404
    assert ask(admin_page, f"{home}tokens/tok_none/limit").status_code == 404
    assert {each.rate_per_second for each in fresh(select(ApiToken)).all()} == {None}


def test_the_limit_of_the_deployment_is_shown(app: Flask, admin_page: Page, home: str) -> None:
    found = services(app)
    found.settings = replace(found.settings, token_rate=RateLimit(1200, 12_000))
    text = admin_page.get(f"{home}tokens/").text
    assert "limit of this deployment: 1,200 events a second, 12,000 at once" in text
    assert "1,200 events a second, 12,000 at once at most" in text
