"""The filtered log as a file."""

import csv
import io
from typing import Any

import pytest
from flask import Flask

from tests.conftest import Workspace, is_idle
from tests.failing import failing
from tests.reading import json_of
from tests.waiting import wait_for
from tests.web.conftest import Page
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.deliveries.log.export_slots import ExportSlots, SlotLimits
from webhooks_app.extensions import services
from webhooks_app.web.responses import CutShort


def test_a_filtered_log_is_exported_whole(
    failed: str, admin_page: Page, viewer_page: Page, workspace: Workspace
) -> None:
    workspace.send(30)
    answer = admin_page.get("deliveries/export?format=csv")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=deliveries-")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == len({row["id"] for row in rows}) == 31
    assert rows == sorted(rows, key=lambda row: row["id"], reverse=True)
    [one] = list(
        csv.DictReader(io.StringIO(viewer_page.get("deliveries/export?format=csv&status=failed").text))
    )
    assert (one["id"], one["status"], one["http_status"], one["response"]) == (failed, "failed", "410", "410")
    listed = json_of(admin_page.get("deliveries/export?format=json"))
    assert [row["id"] for row in listed] == [row["id"] for row in rows]
    assert admin_page.get("deliveries/export?format=json&status=held").json == []
    for wrong in ("", "?format=xml", "?format=csv&status=x"):
        assert admin_page.get(f"deliveries/export{wrong}").status_code == 400


def test_no_cell_of_an_export_is_a_formula(admin_page: Page, workspace: Workspace) -> None:
    for name in ("=1+1", "+x", "-x", "@x", 'a,"b"'):
        workspace.endpoint("https://a.example.com/", name=name)
    workspace.send()
    rows = list(csv.DictReader(io.StringIO(admin_page.get("deliveries/export?format=csv").text)))
    assert {row["endpoint_name"] for row in rows} == {"'=1+1", "'+x", "'-x", "'@x", 'a,"b"'}


def test_exports_leave_most_threads_to_everybody_else(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(3)
    url = f"{admin_page.base}deliveries/export?format=csv"
    under_way = [admin_page.client.get(url) for _ in range(2)]  # of 8 threads; nobody has read them yet
    refused = admin_page.get("deliveries/export?format=csv")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    assert "Too many exports at once" in refused.text
    for each in under_way:
        each.close()
    assert admin_page.get("deliveries/export?format=csv").status_code == 200


def read_parts(answer: Any) -> tuple[list[str], bool]:
    """The lines of an answer, and whether it was cut short."""
    parts: list[str] = []
    try:
        parts.extend(part.decode() if isinstance(part, bytes) else part for part in answer.response)
    except CutShort:
        return "".join(parts).splitlines(), True
    return "".join(parts).splitlines(), False


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_an_export_whose_database_fails_half_way_says_so_and_ends_broken(
    kind: str,
    admin_page: Page,
    workspace: Workspace,
    database: WriteDatabase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(600)  # more than the export reads at once
    wait_for(lambda: is_idle(workspace.app))  # or what is left to do for the events fails and is logged, too
    under_way = admin_page.client.get(f"{admin_page.base}deliveries/export?format={kind}")
    with failing(database, "SELECT"):
        lines, is_cut_short = read_parts(under_way)
    under_way.close()

    assert is_cut_short
    assert len(lines) > 500
    assert lines[-1] == "This export is not complete: the database stopped answering. Export again."
    [logged] = [record for record in caplog.records if record.message == "database_unavailable"]
    assert vars(logged)["view"] == "export"
    assert admin_page.get(f"deliveries/export?format={kind}").status_code == 200


def test_an_export_whose_database_fails_at_once_is_answered_503(
    admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    for _ in range(3):  # more than there are slots
        with failing(database, "SELECT d"):
            assert admin_page.get("deliveries/export?format=csv").status_code == 503
    assert admin_page.get("deliveries/export?format=csv").status_code == 200


def test_slow_readers_make_room_for_others(
    app: Flask, admin_page: Page, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    services(app).export_slots = ExportSlots(2, SlotLimits(patience_seconds=0.0, longest_seconds=0.0))
    workspace.endpoint("https://a.example.com/")
    workspace.send(5)
    url = f"{admin_page.base}deliveries/export?format=csv"
    slow = [admin_page.client.get(url) for _ in range(2)]
    begun = [next(iter(each.response)) for each in slow]  # from now on nobody reads

    whole = admin_page.get("deliveries/export?format=csv")
    assert len(whole.text.splitlines()) == 6
    lines, is_cut_short = read_parts(slow[0])

    assert begun[0] == begun[1]
    assert is_cut_short
    assert "read too slowly" in lines[-1]
    assert [record.message for record in caplog.records].count("export_cut_short") == 1
    assert read_parts(slow[1])[1] is False
    for each in slow:
        each.close()
