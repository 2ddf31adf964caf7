"""The filtered log as a file."""

import csv
import io

from tests.conftest import Workspace
from tests.reading import json_of
from tests.web.conftest import Page


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
