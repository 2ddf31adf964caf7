"""How pages behave: under keys, themes, narrow screens, copying, and without a network."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.steps import expect_powered, ids_of, let_change, rows, toast, with_javascript
from tests.conftest import PASSWORD, TESTER, Workspace
from tests.receivers import Receiver
from webhooks_app.accounts import members, users
from webhooks_app.db.models import Role
from webhooks_app.extensions import services
from webhooks_app.worker.engine import DeliveryEngine


@with_javascript
@pytest.mark.parametrize(("role", "width"), [(Role.VIEWER, 1280), (Role.ADMIN, 1280), (Role.ADMIN, 1000)])
def test_opening_a_row_moves_no_column(
    open_page: OpenPage, workspace: Workspace, failed: str, role: Role, width: int
) -> None:
    user_id = users.add(services().write, email="reader@example.com", name="Rita", password=PASSWORD)
    members.add(services().write, workspace.id, user_id, role, actor=TESTER)
    page = open_page("reader@example.com")
    page.set_viewport_size({"width": width, "height": 800})
    for log in ("deliveries/", f"endpoints/{failed}/deliveries"):
        page.goto(log)
        time = rows(page).locator(".c-time")
        before = time.bounding_box()
        expect_powered(rows(page).locator(".expander"))
        rows(page).locator(".expander").click()
        expect(rows(page).locator(".row-preview")).to_be_visible()
        assert time.bounding_box() == before


def press_until(page: Page, key: str, wanted: Callable[[Page], bool], most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press(key)
        if wanted(page):
            return
    pytest.fail(f"{key} never led there")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))


@with_javascript
def test_the_log_is_worked_by_keyboard_alone(
    page: Page, failed: str, receiver: Receiver, engine: DeliveryEngine
) -> None:
    page.goto("deliveries/")
    delivery_id = ids_of(page)[0]
    row = rows(page)
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to content"
    page.keyboard.press("Enter")
    assert focused(page) == "main"

    order: list[str] = []

    def reaches_the_row(page: Page) -> bool:
        order.append(focused(page))
        return order[-1] == f"{delivery_id}-open"

    press_until(page, "Tab", reaches_the_row)
    fields = ["q", "f-status", "f-endpoint", "f-event", "f-response", "f-range"]
    assert [each for each in order if each in fields] == fields
    page.keyboard.press("Enter")
    expect(row.locator(".row-preview")).to_be_visible()
    assert focused(page) == f"{delivery_id}-open"
    expect(page.locator(f"#{delivery_id}-open")).to_have_attribute("aria-expanded", "true")

    press_until(page, "Tab", lambda page: focused(page) == f"{delivery_id}-send", most=5)
    page.keyboard.press("Enter")
    expect(row.locator("[data-state=retrying]").first).to_be_visible()
    assert focused(page).startswith(delivery_id)
    engine.run(seconds=60)
    let_change(page, True)
    expect(row.locator("[data-state=delivered]").first).to_be_visible()
    assert focused(page).startswith(delivery_id)
    if focused(page) != f"{delivery_id}-open":  # it is there if the page was told while the row was sent
        press_until(page, "Shift+Tab", lambda page: focused(page) == f"{delivery_id}-open", most=5)
    page.keyboard.press("Enter")
    expect(row.locator(".row-preview")).to_have_count(0)
    assert focused(page) == f"{delivery_id}-open"


@with_javascript
def test_the_chosen_theme_stays(page: Page) -> None:
    page.goto("./")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.click("[data-theme-toggle]")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    assert page.evaluate(background) != light
    page.click("[data-theme-toggle]")
    page.reload()
    assert page.evaluate(background) == light


@with_javascript
def test_nothing_moves_where_the_system_asks_for_no_motion(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto("./")
    page.click("[data-theme-toggle]")
    moving = "requestAnimationFrame(() => resolve(document.getAnimations().length))"
    assert page.evaluate(f"() => new Promise((resolve) => {moving})") == 0


@with_javascript
def test_what_is_copied_is_said(page: Page, workspace: Workspace) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    endpoint_id = workspace.endpoint("https://hooks.example.com/")
    page.goto(f"endpoints/{endpoint_id}")
    page.get_by_role("button", name="Copy endpoint id").click()
    expect(toast(page)).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == endpoint_id


@with_javascript
def test_a_server_out_of_reach_is_said_and_nothing_is_lost(
    page: Page, failed: str, problems: list[str]
) -> None:
    page.goto("deliveries/")
    page.context.set_offline(True)
    rows(page).get_by_role("button", name="Replay").click()
    expect(toast(page)).to_contain_text("The server cannot be reached.")
    page.context.set_offline(False)
    rows(page).get_by_role("button", name="Replay").click()
    expect(page.get_by_text("Replay started.")).to_be_visible()
    problems.clear()  # the browser's and htmx's own words for it


def test_the_navigation_of_a_narrow_screen_opens_without_scripts(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 800})
    page.goto("./")
    link = page.locator("nav.side").get_by_role("link", name="Event catalog")
    expect(link).to_be_hidden()
    page.get_by_role("button", name="Open navigation").click()
    expect(link).to_be_visible()
    link.click()
    expect(page.get_by_role("heading", name="Event catalog")).to_be_visible()
    expect(link).to_be_hidden()
