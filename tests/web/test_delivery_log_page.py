"""The delivery log: pages by filter, rows that open in place, an endpoint's own log."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import text

from tests.conftest import Workspace
from tests.patience import PATIENT_LIMITS
from tests.reading import captured
from tests.web.conftest import FRAGMENT_HEADERS, Page
from tests.web.deliveries import newest, writes
from webhooks_app.core import ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.extensions import db


def test_another_workspaces_delivery_is_not_there(
    waiting: str, stranger_page: Page, anonymous_page: Page, admin_page: Page, workspace: Workspace
) -> None:
    other = captured(r"/w/(\w+)/", stranger_page.get("/").location)
    for part in ("", "/row", "/json"):
        assert stranger_page.get(f"deliveries/{waiting}{part}").status_code == 404
        assert stranger_page.get(f"/w/{other}/alerts/webhooks/deliveries/{waiting}{part}").status_code == 404
        assert anonymous_page.get(f"deliveries/{waiting}{part}").status_code == 302
        assert admin_page.get(f"deliveries/{ids.new('dlv')}{part}").status_code == 404
    theirs = f"/w/{other}/alerts/webhooks/deliveries/"
    endpoint_id = newest().endpoint_id
    assert stranger_page.get(f"{theirs}?endpoint={endpoint_id}").status_code == 404
    searched = stranger_page.get(f"{theirs}?q={waiting}").text
    for own_words in (f'value="{waiting}"', f"Search: {waiting}</p>"):
        assert own_words in searched
        searched = searched.replace(own_words, "")
    assert waiting not in searched
    assert stranger_page.get(f"{theirs}changes?seen={waiting}~x").status_code == 204
    for url, data in writes(waiting):
        assert stranger_page.post(f"/w/{other}/alerts/webhooks/{url}", data).status_code == 404


def test_every_address_has_a_whole_page_and_a_part(failed: str, admin_page: Page) -> None:
    for url, part in (
        ("deliveries/?status=failed", '<section class="log"'),
        (f"deliveries/{failed}", "<div id="),
    ):
        page, fragment = admin_page.get(url), admin_page.fragment(url)
        assert "<!doctype html>" in page.text
        assert "<html" not in fragment.text
        assert part in fragment.text
        for answer in (page, fragment):
            assert {"HX-Request", "HX-Request-Type", "Cookie"} <= set(answer.vary)
    assert admin_page.get(f"deliveries/{failed}/row").status_code == 302


def test_the_filter_form_leaves_a_short_address(failed: str, admin_page: Page) -> None:
    headers = FRAGMENT_HEADERS | {"HX-Source": "form#filters"}
    answer = admin_page.get("deliveries/?q=&status=failed&endpoint=&range=&from=", headers=headers)
    assert answer.headers["HX-Push-Url"].endswith("/deliveries/?status=failed")


@pytest.mark.parametrize(
    "query",
    ["before=x", f"after=evt_{'0' * 26}", "status=x", "endpoint=1", "q=dlv_1", "from=x", "response=9"],
)
def test_a_damaged_address_is_refused_with_a_word(waiting: str, admin_page: Page, query: str) -> None:
    page = admin_page.get(f"deliveries/?{query}")
    assert page.status_code == 400
    assert "This filter cannot be used." in page.text


def test_a_row_opens_and_closes(failed: str, admin_page: Page) -> None:
    opened = admin_page.fragment(f"deliveries/{failed}/row?open={failed}").text
    assert 'aria-expanded="true"' in opened
    assert "410" in opened
    assert "batch_id" in opened
    assert "Given up: the endpoint answered 410 Gone." in opened
    assert "HTTP/1.1 410" in opened
    assert re.search(r'aria-label="Response body of dlv_\w+" dir="ltr" hx-ignore>gone</pre>', opened)
    assert "<code>POST /hooks</code>" in opened
    assert 'aria-expanded="false"' in admin_page.fragment(f"deliveries/{failed}/row").text


def test_empty_logs_lead_on(admin_page: Page, workspace: Workspace) -> None:
    assert "/endpoints/new" in admin_page.get("deliveries/").text
    endpoint_id = workspace.endpoint("https://a.example.com/")
    text = admin_page.get("deliveries/").text
    assert f"/endpoints/{endpoint_id}/test" in text
    assert "/api/v1/events" in text
    assert "Clear filters" in admin_page.get("deliveries/?status=failed").text


def test_an_endpoints_log_stands_among_its_tabs(
    failed: str, admin_page: Page, workspace: Workspace, viewer_page: Page
) -> None:
    endpoint_id = newest().endpoint_id
    other = workspace.endpoint("https://b.example.com/", name="Other")
    workspace.send()
    url = f"endpoints/{endpoint_id}/deliveries"
    page = admin_page.get(url).text
    assert 'aria-current="page">Deliveries</a>' in page
    assert f'id="{failed}"' in page
    assert "f-endpoint" not in page
    assert f"{url}?status=failed" not in page
    assert len(re.findall(r'<tbody id="dlv_', page)) == 2
    only = admin_page.fragment(f"{url}?status=failed")
    assert re.findall(r'<tbody id="(dlv_\w+)', only.text) == [failed]
    assert viewer_page.get(url).status_code == 200
    assert "No deliveries to this endpoint yet" not in admin_page.get(f"endpoints/{other}/deliveries").text
    assert admin_page.get(f"{url}?from=x&range=custom").status_code == 400
    filtered = admin_page.get(
        url + "?status=failed", headers=FRAGMENT_HEADERS | {"HX-Source": "form#filters"}
    )
    assert filtered.headers["HX-Push-Url"].endswith(f"{url}?status=failed")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("database_limits", [replace(PATIENT_LIMITS, lock_seconds=0.3)], indirect=True)
def test_a_table_that_stays_locked_is_said_on_the_page(admin_page: Page, database: WriteDatabase) -> None:
    db.session.remove()
    with database.begin() as blocker:
        blocker.execute(text("SET LOCAL idle_in_transaction_session_timeout = '60s'"))
        blocker.execute(text("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE"))
        answer = admin_page.get("deliveries/")
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
    assert "The database does not answer" in answer.text
    assert admin_page.get("deliveries/").status_code == 200
