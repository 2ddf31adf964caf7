"""The list of endpoints: how each is doing, and the search."""

import html
import re

from sqlalchemy import delete, update

from tests.conftest import Workspace
from tests.deliveries.conftest import statements
from tests.web.conftest import Page
from tests.web.endpoints import URL, seed_failure, seed_rollup
from tests.worker.attempted import deliveries
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, PendingDelivery


def test_an_empty_list_leads_on(admin_page: Page, viewer_page: Page) -> None:
    text = admin_page.get("").text
    assert "No endpoint yet" in text
    assert text.count("endpoints/new") == 1
    assert "endpoints/new" not in viewer_page.get("").text


def test_the_list_tells_how_each_endpoint_fares(
    admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    failing = workspace.endpoint(URL, name="Failing one")
    workspace.endpoint(URL, name="Quiet one", all_events=False, event_types=["batch-request"])
    seed_rollup(database, failing, "success", 5, 40)
    seed_rollup(database, failing, "connect", 2, 7)
    seed_failure(database, failing, "connect")

    text = admin_page.get("").text

    assert "47 attempts, 7 failed" in text
    assert "Connection failed" in text
    assert "2 endpoints. 1 failing: it needs attention." in words(text)
    assert "1 of 19" in text
    assert "All events" in text
    assert text.index("Failing one") < text.index("Quiet one")


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", text).split())


def test_searching_narrows_the_list(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("http://127.0.0.1:9/alpha", name="First")
    workspace.endpoint("http://127.0.0.1:9/beta", name="Second 100%")

    def names(query: str) -> set[str]:
        text = admin_page.get(f"?q={query}").text
        return {name for name in ("First", "Second 100%") if f">{name}</a>" in text}

    assert names("ALPHA") == {"First"}
    assert names("second") == {"Second 100%"}
    assert names("100%25") == {"Second 100%"}  # a percent sign is itself
    assert names("_") == set()
    assert "No endpoint matches" in admin_page.get("?q=zzz").text


def test_what_a_urls_query_holds_is_neither_shown_nor_found(
    admin_page: Page, viewer_page: Page, workspace: Workspace
) -> None:
    url = "https://hooks.example.com/a_b?token=s3cret"
    endpoint_id = workspace.endpoint(url, name="Orders")
    workspace.send()

    for path in (
        "",
        f"endpoints/{endpoint_id}",
        "deliveries/export?format=csv",
        "deliveries/export?format=json",
    ):
        text = viewer_page.get(path).text
        assert "hooks.example.com/a_b?token=" in text
        assert "s3cret" not in text
    assert url in admin_page.get(f"endpoints/{endpoint_id}/settings").text
    found = {search for search in ("HOOKS.e", "a_b", "a.b", "s3c", "%3Ft") if is_listed(viewer_page, search)}
    assert found == {"HOOKS.e", "a_b"}


def test_a_credential_in_a_urls_path_is_neither_shown_nor_found(
    admin_page: Page, viewer_page: Page, workspace: Workspace
) -> None:
    url = "https://hooks.example.com/services/T024BE7LD/dkQrX8jPbq3vLmNzWtYcRg7x"
    endpoint_id = workspace.endpoint(url, name="Orders")
    workspace.send()
    [delivery] = deliveries()

    for path in (
        *("", f"endpoints/{endpoint_id}", f"endpoints/{endpoint_id}/test", f"deliveries/{delivery.id}"),
        *("deliveries/export?format=csv", "deliveries/export?format=json"),
    ):
        text = viewer_page.get(path).text
        assert "dkQrX8jP" not in text, path
    assert "dkQrX8jP" not in admin_page.get("audit").text
    assert url in admin_page.get(f"endpoints/{endpoint_id}/settings").text
    shown, hidden = ("s/T024be7ld", "com/services/t0"), ("dkQrX8jP", "7x", "7LD/d", "LD/dkQrX8jPbq3vLmNz")
    assert [is_listed(viewer_page, search) for search in shown] == [True, True]
    assert [search for search in hidden if is_listed(viewer_page, search)] == []


def is_listed(page: Page, search: str) -> bool:
    return ">Orders</a>" in page.get(f"?q={search}").text


def test_the_state_filters_the_list(admin_page: Page, workspace: Workspace, endpoint_id: str) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    assert ">Orders</a>" in admin_page.get("?state=disabled").text
    assert ">Orders</a>" not in admin_page.get("?state=healthy").text
    assert "There is no healthy endpoint." in admin_page.get("?state=healthy").text
    assert ">Orders</a>" in admin_page.get("?state=nonsense").text


def test_an_endpoint_that_somebody_disabled_needs_no_attention(admin_page: Page, endpoint_id: str) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    assert "1 endpoint. None needs attention." in words(admin_page.get("").text)


def test_endpoints_are_found_by_id_and_by_what_they_get(admin_page: Page, workspace: Workspace) -> None:
    ids = {
        "Everything": workspace.endpoint(URL, name="Everything"),
        "Batches": workspace.endpoint(
            URL, name="Batches", all_events=False, event_types=["batch-lifecycle", "batch-request"]
        ),
        "Keys": workspace.endpoint(URL, name="Keys", all_events=False, event_types=["api-key-creation"]),
    }

    def names(query: str) -> set[str]:
        text = admin_page.get(f"?{query}").text
        return {name for name in ids if f">{name}</a>" in text}

    assert names(f"q={ids['Keys'][:-1]}") == {"Keys"}
    assert names("event=batch-lifecycle") == {"Everything", "Batches"}
    assert names("q=batch-request") == {"Everything", "Batches"}
    assert names("q=batch-requ") == set()
    assert names("event=api-key-creation&q=key") == {"Keys"}
    assert names("event=nonsense") == {"Everything"}
    assert (
        "There is no disabled endpoint that gets"
        in admin_page.get("?event=batch-request&state=disabled").text
    )


def test_the_list_comes_in_pages(admin_page: Page, workspace: Workspace, database: WriteDatabase) -> None:
    made = [workspace.endpoint(URL, name=f"Endpoint {number:03}") for number in range(120)]
    seed_failure(database, made[77], "connect")
    expected = [made[77], *made[:77], *made[78:]]

    forwards, url = [], ""
    while True:
        text = admin_page.get(url).text
        forwards.append(listed(text))
        if not (url := link(text, "next")):
            break
    assert [len(page) for page in forwards] == [50, 50, 20]
    assert [each for page in forwards for each in page] == expected

    backwards = [forwards[-1]]
    while url := link(text, "prev"):
        text = admin_page.get(url).text
        backwards.append(listed(text))
    assert backwards == forwards[::-1]


def listed(text: str) -> list[str]:
    return re.findall(r'<tbody id="(ep_\w+)"', text)


def link(text: str, rel: str) -> str:
    found = re.search(rf'id="{rel}" href="([^"]+)"', text)
    return html.unescape(found[1]) if found else ""


def test_a_page_behind_an_endpoint_that_is_gone_is_the_first(
    admin_page: Page, workspace: Workspace, endpoint_id: str, stranger_page: Page
) -> None:
    other = workspace.endpoint(URL, name="Another")
    admin_page.post(f"endpoints/{other}/delete", {"confirmation": "Another"})
    for cursor in (other, "nonsense", "ep_"):
        assert listed(admin_page.get(f"?after={cursor}").text) == [endpoint_id]


def test_only_rows_that_look_different_are_sent_again(
    admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    failing, _ = (workspace.endpoint(URL, name=name) for name in ("One", "Two"))
    text = admin_page.get("").text
    seen = re.findall(r'name="seen" value="([^"]+)"', text)
    [shown] = re.findall(r'name="shown" value="([^"]+)"', text)
    query = "&".join(f"seen={each}" for each in seen)
    assert len(seen) == 2
    assert admin_page.fragment(f"endpoints/changes?{query}&shown={shown}").status_code == 204

    seed_failure(database, failing, "connect")
    response = admin_page.fragment(f"endpoints/changes?{query}&shown={shown}")

    assert response.status_code == 200
    assert listed(response.text) == [failing]
    assert "Failing" in response.text
    assert "1 failing: it needs attention" in words(response.text)


def test_what_has_changed_is_told_to_members_alone(
    stranger_page: Page, viewer_page: Page, workspace: Workspace, endpoint_id: str
) -> None:
    url = f"endpoints/changes?seen={endpoint_id}~0"
    assert listed(viewer_page.fragment(url).text) == [endpoint_id]
    assert stranger_page.fragment(url).status_code == 404
    own = stranger_page.get("/").location
    assert endpoint_id not in stranger_page.fragment(f"{own}{url}").text


def test_htmx_gets_the_list_alone(admin_page: Page, endpoint_id: str) -> None:
    response = admin_page.fragment("?q=ord")

    assert response.text.lstrip().startswith('<div id="endpoint-list"')
    assert "<html" not in response.text
    assert {"HX-Request", "HX-Request-Type"} <= set(response.vary)


def test_the_list_costs_the_same_however_long(admin_page: Page, workspace: Workspace) -> None:
    def statement_count() -> int:
        with statements() as executed:
            admin_page.get("")
        return len(executed)

    workspace.endpoint(URL)
    few = statement_count()
    for _ in range(10):
        workspace.endpoint(URL)
    assert statement_count() == few


def test_the_list_tells_how_many_wait(
    admin_page: Page, workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send(3)
    text = admin_page.get("").text
    assert "3 waiting</a>" in text
    assert f"endpoints/{endpoint_id}/deliveries?status=pending" in text

    with database.begin() as connection:
        connection.execute(update(Delivery).values(state="held"))
        connection.execute(delete(PendingDelivery))
    assert "3 held</a>" in admin_page.get("").text
