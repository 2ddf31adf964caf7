"""Choosing an endpoint for a filter: by name, by id, by a suggestion; without scripts as well."""

import html
import re

from tests.conftest import Workspace
from tests.web.conftest import Page
from tests.web.deliveries import MARKUP

URL = "https://a.example.com/"


def suggested(page: Page, typed: str) -> list[str]:
    text = page.fragment(f"endpoints/suggestions?endpoint={typed}").text
    return [html.unescape(each) for each in re.findall(r'<option value="([^"]*)">', text)]


def chosen(page: Page, typed: str, path: str = "deliveries/") -> tuple[int, str]:
    """The status of the log filtered so, and what then stands in the field."""
    response = page.get(path, query_string={"endpoint": typed})
    [value] = re.findall(r'id="f-endpoint" name="endpoint" value="([^"]*)"', response.text)
    return response.status_code, html.unescape(value)


def test_the_first_ten_that_hold_what_is_typed_are_suggested(admin_page: Page, workspace: Workspace) -> None:
    for number in range(12):
        workspace.endpoint(URL, name=f"Team {number:02}")
    workspace.endpoint(URL, name="Billing")
    assert suggested(admin_page, "bill") == ["Billing"]
    assert suggested(admin_page, "TEAM") == [f"Team {number:02}" for number in range(10)]
    assert suggested(admin_page, "")[0] == "Billing"
    assert suggested(admin_page, "%25") == []


def test_endpoints_of_one_name_are_told_apart_by_their_ids(admin_page: Page, workspace: Workspace) -> None:
    ids = sorted(workspace.endpoint(URL, name="Orders") for _ in range(2))
    labels = [f"Orders ({each})" for each in ids]
    assert suggested(admin_page, "orders") == labels
    assert chosen(admin_page, labels[0]) == (200, labels[0])
    assert chosen(admin_page, ids[1]) == (200, labels[1])
    status, typed = chosen(admin_page, "Orders")
    assert (status, typed) == (400, "Orders")
    assert "Several endpoints match “Orders”" in admin_page.get("deliveries/?endpoint=Orders").text


def test_a_name_part_of_one_or_an_id_filters_the_log(admin_page: Page, workspace: Workspace) -> None:
    orders = workspace.endpoint(URL, name="Orders")
    billing = workspace.endpoint(URL, name="Billing of orders")
    workspace.send()
    for typed, name in (("orders", "Orders"), ("Bill", "Billing of orders"), (orders, "Orders")):
        assert chosen(admin_page, typed) == (200, name)
    text = admin_page.get("deliveries/?endpoint=bill").text
    assert len(re.findall(r'<tbody id="dlv_', text)) == 1
    assert f"endpoints/{billing}" in text
    assert chosen(admin_page, "orders", "recoveries/new") == (200, "Orders")


def test_the_address_of_a_filter_has_the_id(admin_page: Page, workspace: Workspace) -> None:
    orders = workspace.endpoint(URL, name="Orders")
    response = admin_page.get(
        "deliveries/?endpoint=Orders",
        headers={"HX-Request": "true", "HX-Request-Type": "partial", "HX-Source": "form#filters"},
    )
    assert response.headers["HX-Push-Url"].endswith(f"?endpoint={orders}")


def test_a_name_that_there_is_not_is_said_at_the_field(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint(URL, name="Orders")
    response = admin_page.get("deliveries/?endpoint=Ordrs")
    assert response.status_code == 400
    assert "No endpoint is called “Ordrs”" in response.text
    assert 'aria-invalid="true"' in response.text
    assert admin_page.get("recoveries/new?endpoint=Ordrs").status_code == 422


def test_a_deleted_endpoints_log_is_found_by_its_id(admin_page: Page, workspace: Workspace) -> None:
    gone = workspace.endpoint(URL, name="Orders")
    admin_page.post(f"endpoints/{gone}/delete", {"confirmation": "Orders"})
    label = f"Orders (deleted) ({gone})"
    assert chosen(admin_page, gone) == (200, label)
    assert chosen(admin_page, label) == (200, label)
    assert suggested(admin_page, "orders") == []


def test_other_workspaces_endpoints_are_neither_suggested_nor_found(
    stranger_page: Page, viewer_page: Page, workspace: Workspace
) -> None:
    endpoint_id = workspace.endpoint(URL, name="Ours alone")
    own = stranger_page.get("/").location
    assert "Ours" not in stranger_page.fragment(f"{own}endpoints/suggestions?endpoint=ours").text
    assert stranger_page.get(f"{own}deliveries/?endpoint=Ours").status_code == 400
    assert stranger_page.get(f"{own}deliveries/?endpoint=x ({endpoint_id})").status_code == 404
    assert suggested(viewer_page, "ours") == ["Ours alone"]


def test_names_are_inert(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint(URL, name=MARKUP[:60])
    assert "<script>alert" not in admin_page.fragment("endpoints/suggestions?endpoint=").text


def test_the_log_is_as_long_with_many_endpoints(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint(URL)
    workspace.send()
    few = len(admin_page.get("deliveries/").text)
    for _ in range(20):
        workspace.endpoint(URL, name="A name that is fairly long")
    assert len(admin_page.get("deliveries/").text) < few + 200
