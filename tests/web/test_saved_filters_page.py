"""Filters of the log that a workspace shares."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import pytest
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from tests.web.conftest import Page
from tests.web.endpoints import audited_actions
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AuditEntry, SavedFilter
from webhooks_app.deliveries.log import saved_filters
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.deliveries.log.saved_filters import MOST_FILTERS, TooManyFilters
from webhooks_app.extensions import db

FAILED = LogFilter(status=Status.FAILED, response="404")


@pytest.fixture
def filter_id(workspace: Workspace, database: WriteDatabase) -> str:
    return saved_filters.save(database, workspace.id, "Not found", FAILED, actor=TESTER)


def names() -> list[str]:
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(select(SavedFilter.name).order_by(SavedFilter.name)))


def test_a_filter_is_saved_and_then_stands_above_the_log_of_all(
    admin_page: Page, viewer_page: Page, workspace: Workspace
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    address = "deliveries/?status=failed&response=404"
    assert "deliveries/filters?status=failed&amp;response=404" in admin_page.get(address).text
    assert "Save filter" not in viewer_page.get(address).text

    data = {"name": " Not found ", "filter": "response=404&status=failed&before=x"}
    response = admin_page.post("deliveries/filters", data)

    assert (response.status_code, names()) == (303, ["Not found"])
    assert response.location.endswith("?status=failed&response=404")
    for page in (admin_page, viewer_page):
        log = page.get(address).text
        assert 'aria-current="true">Not found</a>' in log
        assert "Save filter" not in log
        assert "Not found" in page.get(f"/w/{workspace.id}/find/?q=not+f").text
        assert "Status: Failed" in page.get("deliveries/filters").text
    assert audited_actions()[-1] == "filter.save"


def last_details() -> dict[str, str]:
    db.session.rollback()
    details = db.session.scalars(select(AuditEntry.details).order_by(AuditEntry.id.desc())).first()
    return dict(json.loads(str(details)))


def test_the_text_that_is_looked_for_is_not_in_the_audit_log(admin_page: Page) -> None:
    admin_page.post("deliveries/filters", {"name": "Hers", "filter": "q=jane@example.com&status=failed"})
    assert last_details() == {"name": "Hers", "status": "failed"}


def test_the_audit_log_has_a_filters_moments_spelt_as_all_others(admin_page: Page) -> None:
    admin_page.post("deliveries/filters", {"name": "Since then", "filter": "from=2025-01-02T03:04"})
    assert last_details() == {"name": "Since then", "range": "custom", "from": "2025-01-02T03:04:00.000Z"}


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        ({"name": " ", "filter": "status=failed"}, 422, "Enter a name"),
        ({"name": "x" * 101, "filter": "status=failed"}, 422, "100 characters"),
        ({"name": "Not found", "filter": "status=held"}, 422, "Another filter has this name"),
        ({"name": "Damaged", "filter": "status=nonsense"}, 400, ""),
        ({"name": "Everything", "filter": ""}, 400, ""),
        ({"name": "Of nobody", "filter": "endpoint=ep_" + "0" * 26}, 404, ""),
    ],
)
def test_what_makes_no_filter_is_refused(
    admin_page: Page, filter_id: str, data: dict[str, str], status: int, message: str
) -> None:
    response = admin_page.post("deliveries/filters", data)
    assert response.status_code == status
    assert message in response.text
    assert names() == ["Not found"]


def test_no_more_are_saved_than_have_room_above_the_log(
    admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    for number in range(MOST_FILTERS):
        saved_filters.save(database, workspace.id, str(number), FAILED, actor=TESTER)
    response = admin_page.post("deliveries/filters", {"name": "One more", "filter": "status=held"})
    assert response.status_code == 422
    assert "Remove one first" in response.text


def test_of_many_that_are_saved_at_once_no_more_stay_than_have_room(
    workspace: Workspace, database: WriteDatabase
) -> None:
    for number in range(MOST_FILTERS - 1):
        saved_filters.save(database, workspace.id, f"Filter {number}", FAILED, actor=TESTER)

    together = Barrier(8)

    def save_another(number: int) -> None:
        together.wait(120)
        with suppress(TooManyFilters):
            saved_filters.save(database, workspace.id, f"Another {number}", FAILED, actor=TESTER)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(save_another, range(16)))
    assert len(names()) == MOST_FILTERS


def test_a_filter_is_renamed_and_removed(
    admin_page: Page, workspace: Workspace, database: WriteDatabase, filter_id: str
) -> None:
    saved_filters.save(database, workspace.id, "Other", FAILED, actor=TESTER)
    rename = f"deliveries/filters/{filter_id}/rename"
    taken = admin_page.post(rename, {"name": "Other"})
    assert (taken.status_code, names()) == (422, ["Not found", "Other"])
    assert "Another filter has this name" in taken.text
    assert admin_page.post(rename, {"name": ""}).status_code == 422

    assert admin_page.post(rename, {"name": "Gone"}).status_code == 303
    assert names() == ["Gone", "Other"]
    assert admin_page.post(f"deliveries/filters/{filter_id}/remove").status_code == 303
    assert names() == ["Other"]
    assert audited_actions()[-2:] == ["filter.rename", "filter.remove"]


@pytest.mark.parametrize("action", ["rename", "remove"])
def test_a_filter_is_its_workspaces_admins_to_change(
    viewer_page: Page,
    stranger_page: Page,
    anonymous_page: Page,
    admin_page: Page,
    filter_id: str,
    action: str,
) -> None:
    path, data = f"deliveries/filters/{filter_id}/{action}", {"name": "Mine"}
    assert viewer_page.post(path, data).status_code == 403
    assert viewer_page.post("deliveries/filters", data | {"filter": "status=held"}).status_code == 403
    assert stranger_page.post(path, data).status_code == 404
    assert "/login" in (anonymous_page.post(path, data).location or "")
    home = stranger_page.get("/").location or ""
    assert stranger_page.post(f"{home}{path}", data).status_code == 404
    assert "Not found" not in stranger_page.get(f"{home}deliveries/filters").text.split("<main")[1]
    assert admin_page.post(f"deliveries/filters/flt_none/{action}", data).status_code == 404
    assert names() == ["Not found"]
