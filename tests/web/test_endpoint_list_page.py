"""The list of endpoints: how each is doing, and the search."""

from tests.conftest import Workspace
from tests.deliveries.conftest import statements
from tests.web.conftest import Page
from tests.web.endpoints import URL, seed_failure, seed_rollup
from webhooks_app.db.engines import WriteDatabase


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
    assert "1 of 2 needs attention" in text
    assert "1 of 19" in text
    assert "All events" in text
    assert text.index("Failing one") < text.index("Quiet one")


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
    assert names("%00") == {"First", "Second 100%"}
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


def is_listed(page: Page, search: str) -> bool:
    return ">Orders</a>" in page.get(f"?q={search}").text


def test_the_state_filters_the_list(admin_page: Page, workspace: Workspace, endpoint_id: str) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    assert ">Orders</a>" in admin_page.get("?state=disabled").text
    assert ">Orders</a>" not in admin_page.get("?state=enabled").text
    assert ">Orders</a>" in admin_page.get("?state=nonsense").text


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
