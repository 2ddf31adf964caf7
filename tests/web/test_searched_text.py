"""What is searched for is marked in what is shown, and a value filters by a press."""

import html
import re

from tests.conftest import Workspace
from tests.web.conftest import FRAGMENT_HEADERS, Page
from tests.web.deliveries import newest
from webhooks_app.db.engines import WriteDatabase


def marks(text: str) -> list[str]:
    return [
        html.unescape(re.sub("<[^>]+>", "", each)) for each in re.findall(r"<mark>(.*?)</mark>", text, re.S)
    ]


def test_matches_are_marked_in_an_opened_row_in_whatever_case(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(1, note="A needle <b>and</b> a NEEDLE & more")
    row = newest().id
    page = admin_page.get(f"deliveries/?q=Needle&open={row}").text
    assert marks(page) == ["needle", "NEEDLE"]
    assert marks(admin_page.get(f"deliveries/?q=<b>AND</b>&open={row}").text) == ["<b>and</b>"]


def test_a_row_that_htmx_asks_for_is_marked_as_its_page_is(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(1, note="needle")
    row = newest().id
    headers = FRAGMENT_HEADERS | {"HX-Current-URL": "http://localhost/deliveries/?status=pending&q=NEED"}
    assert marks(admin_page.get(f"deliveries/{row}/row?open={row}", headers=headers).text) == ["need"]
    headers["HX-Current-URL"] = "http://[/?q=%00"
    assert marks(admin_page.get(f"deliveries/{row}/row?open={row}", headers=headers).text) == []


def test_a_row_shows_what_its_event_is_about(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(1, batch_id="batch & <1>")
    page = admin_page.get("deliveries/").text
    assert 'href="?q=batch+%26+%3C1%3E"' in page or 'href="?q=batch%20%26%20%3C1%3E"' in page
    assert "batch &amp; &lt;1&gt;</a>" in page
    found = admin_page.get("deliveries/?q=BATCH %26 <1>").text
    assert 'aria-current="true"><mark>batch' in found.replace("\n", "")
    assert "Search whole payloads" in found


def test_events_of_before_have_no_values_to_show(
    admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE events SET indexed_values = NULL")
    page = admin_page.get("deliveries/")
    assert page.status_code == 200
    assert "chip" not in page.text
