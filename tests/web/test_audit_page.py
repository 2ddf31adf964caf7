"""The audit log's page."""

import json

import pytest
from sqlalchemy import insert, select

from tests.conftest import Workspace
from tests.web.conftest import Page
from webhooks_app.accounts import audit, audit_log
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.keyset import SearchLimits
from webhooks_app.db.models import AuditEntry
from webhooks_app.extensions import db

MARKUP = '<script>alert(1)</script><b hx-get="/evil">'


@pytest.fixture
def url(workspace: Workspace) -> str:
    return f"/w/{workspace.id}/audit/"


def add(
    database: WriteDatabase, workspace: Workspace, count: int, actor: str = "bob", **details: str
) -> None:
    """As many old entries."""
    rows = [
        {
            "id": f"aud_{number:025d}0",
            "workspace_id": workspace.id,
            "actor": f"{actor}{number}",
            "action": "delivery.replay",
            "target": "dlv_x",
            "details": json.dumps(details),
            "address": "",
            "created_at": clock.now(),
        }
        for number in range(count)
    ]
    with database.begin() as connection:
        connection.execute(insert(AuditEntry), rows)


def test_what_was_done_is_there_in_words_with_its_target(
    admin_page: Page, viewer_page: Page, url: str, workspace: Workspace
) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/", name=MARKUP)
    admin_page.post(f"endpoints/{endpoint_id}/secret/reveal")
    for page in (admin_page, viewer_page):
        shown = page.get(url).text
        assert "revealed a signing secret" in shown
        assert f'/endpoints/{endpoint_id}"' in shown
        assert "&lt;script&gt;" in shown
        assert MARKUP not in shown
        assert "whsec_" not in shown
    assert "logged in" in shown


def test_a_url_is_there_without_what_its_query_holds(
    admin_page: Page, url: str, workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/new?token=s3cret")
    db.session.rollback()
    assert "s3cret" not in "".join(db.session.scalars(select(AuditEntry.details)))
    add(database, workspace, 1, url="https://a.example.com/old?token=s3cret")  # from before they were masked

    shown = admin_page.get(url).text

    assert "https://a.example.com/new?token=" in shown
    assert "https://a.example.com/old?token=" in shown
    assert "s3cret" not in shown


def test_it_is_filtered_by_who_what_and_on_what(
    admin_page: Page, url: str, workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/")
    with database.begin() as connection:
        audit.record(
            connection,
            Actor("eve@example.com", "203.0.113.7"),
            "token.create",
            workspace_id=workspace.id,
            target="tok_1",
            now=clock.now(),
        )
    assert "eve@" in admin_page.get(url).text
    assert "eve@" not in admin_page.get(f"{url}?kind=endpoint").text
    assert "added an endpoint" in admin_page.get(f"{url}?kind=endpoint").text
    for q in ("EVE@", "203.0.113.", "tok_1"):
        assert "eve@" in admin_page.fragment(f"{url}?q={q}").text
    assert "added an endpoint" not in admin_page.fragment(f"{url}?q=eve").text
    assert endpoint_id in admin_page.fragment(f"{url}?q={endpoint_id}").text
    assert "No entry matches" in admin_page.fragment(f"{url}?q=%25").text
    assert "<html" not in admin_page.fragment(f"{url}?q=eve").text


def test_it_goes_on_page_by_page_to_the_first_entry(
    admin_page: Page, url: str, workspace: Workspace, database: WriteDatabase
) -> None:
    add(database, workspace, 2 * audit_log.PAGE_SIZE)
    db.session.rollback()
    seen: list[str] = []
    before = ""
    while True:
        page = audit_log.read_page(db.session(), workspace.id, audit_log.AuditFilter(), before=before)
        seen += [entry.id for entry in page.entries]
        before = page.older
        if not before:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) > 2 * audit_log.PAGE_SIZE
    assert 'rel="next"' in admin_page.get(url).text
    assert admin_page.get(f"{url}?before={ids.new('ep')}").status_code == 400
    assert admin_page.get(f"{url}?before={ids.new('aud')}").status_code == 200


def test_a_search_that_finds_little_says_how_far_it_looked(
    workspace: Workspace, database: WriteDatabase
) -> None:
    limits = SearchLimits(rows=20, seconds=60, chunk_rows=20)
    add(database, workspace, 100)
    wanted = audit_log.AuditFilter(q="bob3")
    found, before, turns = [], "", 0
    while True:
        page = audit_log.read_page(db.session(), workspace.id, wanted, before=before, limits=limits)
        found += [entry.actor for entry in page.entries]
        turns += 1
        if not page.older:
            break
        assert page.searched_to is not None
        before = page.older
    assert sorted(found) == sorted(["bob3", *(f"bob{number}" for number in range(30, 40))])
    assert turns > 3


def test_another_workspaces_entries_are_not_there(
    stranger_page: Page, url: str, workspace: Workspace
) -> None:
    other = stranger_page.get("/").location.split("/")[2]
    workspace.endpoint("https://secret.example.com/")
    assert "secret.example.com" not in stranger_page.get(f"/w/{other}/audit/").text
