"""The paths that an admin walks, with JavaScript and without: whatever is reached is the same."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import update

from tests.browser.conftest import PATIENCE_MS, OpenPage
from tests.browser.world import LONG, MARKUP
from tests.conftest import PASSWORD, TESTER, Workspace
from tests.receivers import Answer, Receiver
from webhooks_app.accounts import members, users
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, Role
from webhooks_app.extensions import services
from webhooks_app.worker.engine import DeliveryEngine

with_javascript = pytest.mark.parametrize("has_javascript", [True], ids=["javascript"])
POLL_MS = 3_000  # after which a page asks for what has changed
expect.set_options(timeout=PATIENCE_MS)


def rows(page: Page) -> Locator:
    return page.locator("tbody[id^=dlv_]")


def ids_of(page: Page) -> list[str]:
    return [row.get_attribute("id") or "" for row in rows(page).all()]


def toast(page: Page) -> Locator:
    return page.locator(".toast").last


def let_change(page: Page, has_javascript: bool) -> None:
    """With JavaScript a page changes by itself after a while, without it on a reload."""
    if has_javascript:
        page.clock.fast_forward(POLL_MS)
    else:
        page.reload()


def open_row(page: Page, row: Locator, has_javascript: bool) -> Locator:
    """What is to be seen of the delivery: its row unfolded or, without JavaScript, its page."""
    row.locator(".expander").click()
    if has_javascript:
        expect(row.locator(".row-preview")).to_be_visible()
        return row
    expect(page.locator("#delivery")).to_be_visible()
    return page.locator("#delivery")


@pytest.fixture
def failed(workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase) -> str:
    """The endpoint of a delivery that failed for good; it would take it now."""
    endpoint_id = workspace.endpoint(receiver.url)
    receiver.answer = Answer(410, b"gone for now")
    workspace.send()
    engine.run(seconds=60)
    with database.begin() as connection:  # a 410 disables
        connection.execute(update(Endpoint).values(state="enabled", disabled_at=None, updated_at=clock.now()))
    receiver.answer = Answer(200)
    return endpoint_id


# ---- Sessions


def test_logging_in_and_out(open_page: OpenPage, workspace: Workspace) -> None:
    page = open_page(None)
    page.goto("deliveries/?status=failed")
    page.fill("#email", workspace.admin_email)
    page.fill("#password", "wrong")
    page.click("text=Log in >> nth=-1")
    expect(page.get_by_role("alert")).to_contain_text("E-mail or password is wrong.")
    expect(page.locator("#email")).to_have_value(workspace.admin_email)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/deliveries/?status=failed")

    page.click("text=Log out")
    page.wait_for_url("**/login")
    page.goto("deliveries/")
    expect(page).to_have_url(re.compile("/login"))


def test_a_session_that_ended_meanwhile_leads_to_the_log_in(page: Page, failed: str) -> None:
    page.goto("deliveries/")
    page.context.clear_cookies()
    rows(page).locator(".expander").click()
    page.wait_for_url(re.compile(r"/login\?next=.*deliveries"))
    expect(page.locator("#password")).to_be_visible()


# ---- Endpoints


def test_adding_an_endpoint_with_mistakes_shown_at_their_fields(page: Page) -> None:
    page.goto("./")
    page.click("text=Add endpoint")
    page.fill("#name", "Orders")
    page.fill("#url", "ftp://example.com/hooks?kept=1")
    page.fill("#timeout", "31")
    page.get_by_label("Only the events chosen here").check()
    page.click(".form-foot button")
    for field in ("url", "timeout"):
        expect(page.locator(f"#{field}")).to_have_attribute("aria-invalid", "true")
        assert page.locator(f"#{field}-error").inner_text()
    expect(page.locator(".error:has-text('event')").first).to_be_visible()
    assert [page.input_value(f"#{field}") for field in ("url", "name", "timeout")] == [
        "ftp://example.com/hooks?kept=1",
        "Orders",
        "31",
    ]

    page.fill("#url", "https://hooks.example.com/in")
    page.fill("#timeout", "7")
    page.check("[value=batch-lifecycle]")
    page.click(".form-foot button")
    expect(toast(page)).to_contain_text("“Orders” added")
    expect(page.get_by_role("heading", name="Signing secret")).to_be_visible()
    page.click("text=Overview")
    expect(page.locator("main")).to_contain_text("1 of 19")
    expect(page.locator("main")).to_contain_text("7 s")


def test_header_rows_come_and_go_and_the_rest_of_the_form_stays(page: Page) -> None:
    page.goto("endpoints/new")
    page.fill("#url", "https://hooks.example.com/in")
    page.get_by_label("All events, future ones included").check()
    page.click("text=Add header")
    names = page.locator("#headers [name$='-name']")
    expect(names).to_have_count(1)
    expect(names).to_be_focused()
    names.fill("X-Tenant")
    page.fill("#headers [name$='-value']", "acme")
    page.click("text=Add header")
    expect(names).to_have_count(2)
    expect(names.first).to_have_value("X-Tenant")
    page.get_by_role("button", name="Remove header 2").click()
    expect(names).to_have_count(1)
    expect(page.locator("#url")).to_have_value("https://hooks.example.com/in")
    page.click(".form-foot button")
    expect(toast(page)).to_contain_text("added")


@with_javascript
def test_the_checklist_finds_counts_and_takes_whole_groups(page: Page) -> None:
    page.goto("endpoints/new")
    chosen = page.locator("[data-checklist-count]")
    group = page.locator(".checklist fieldset", has_text="API keys")
    whole = group.locator("[data-checklist-all]")
    page.get_by_label("Only the events chosen here").check()
    page.check("[value=api-key-creation]")
    assert whole.evaluate("box => [box.checked, box.indeterminate]") == [False, True]
    whole.check()
    expect(chosen).to_have_text("4 of 19 chosen")
    page.uncheck("[value=api-key-creation]")
    assert whole.evaluate("box => [box.checked, box.indeterminate]") == [False, True]
    expect(chosen).to_have_text("3 of 19 chosen")

    search = page.get_by_label("Find an event")
    search.fill("LIFECYCLE")
    expect(page.locator(".checklist .event:visible")).to_have_count(1)
    search.press("Enter")
    expect(page.locator("h1")).to_have_text("Add endpoint")
    search.fill("no such event")
    expect(page.get_by_text("No event matches.")).to_be_visible()
    search.fill("")
    expect(page.locator(".checklist .event:visible")).to_have_count(19)

    page.get_by_label("All events, future ones included").check()
    expect(page.locator(".checklist")).to_be_hidden()


def test_a_secret_is_revealed_rotated_and_the_previous_one_revoked(page: Page, workspace: Workspace) -> None:
    endpoint_id = workspace.endpoint("https://hooks.example.com/")
    page.goto(f"endpoints/{endpoint_id}/verify")
    secrets = page.locator(".secret code")
    expect(secrets).to_have_text("whsec_" + "•" * 32)
    page.click("text=Reveal")
    expect(page.get_by_role("heading", name="Signing secret, revealed")).to_be_focused()
    first = secrets.inner_text()
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{32,}=*", first)
    page.click("text=Hide")
    expect(secrets).to_contain_text("•")

    page.select_option("#overlap", "24h")
    page.click("text=Rotate secret")
    expect(toast(page)).to_contain_text("A new secret signs from now on.")
    expect(secrets).to_have_count(2)
    page.click("text=Reveal")
    expect(secrets.last).to_have_text(first)
    assert secrets.first.inner_text() != first
    page.click("text=Revoke now")
    page.click("text=Revoke previous secret")
    expect(toast(page)).to_contain_text("stopped signing")
    expect(secrets).to_have_count(1)


def test_a_test_event_is_edited_sent_and_watched(
    page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, has_javascript: bool
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    page.goto(f"endpoints/{endpoint_id}")
    page.click("text=Send test event")
    page.select_option("#choose", "batch-lifecycle")
    if not has_javascript:
        page.click("text=Load example")
    expect(page.locator("label[for=data]")).to_contain_text("batch-lifecycle")
    page.fill("#data", '{"batch_id": 7}')
    send = page.get_by_role("button", name="Send test event")
    send.click()
    expect(page.locator("#data-error")).to_be_visible()
    expect(page.locator("#data")).to_have_value('{"batch_id": 7}')
    page.fill("#data", '{"batch_id": "b7", "status": "succeeded"}')
    send.click()
    expect(toast(page)).to_contain_text("Test event sent.")
    expect(page.locator("h1 [data-state=pending]")).to_be_visible()

    engine.run(seconds=60)
    let_change(page, has_javascript)
    expect(page.locator("h1 [data-state=delivered]")).to_be_visible()
    expect(page.locator("#delivery")).to_contain_text("The endpoint answered 200")
    assert b'"b7"' in receiver.received[0].body


def test_disabling_holds_events_and_enabling_asks_what_becomes_of_them(
    page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    page.goto(f"endpoints/{endpoint_id}/settings")
    page.click("#use button:has-text('Disable')")
    expect(toast(page)).to_contain_text("Endpoint disabled.")
    workspace.send(2)
    page.reload()
    expect(page.locator(".banner")).to_contain_text("2 deliveries are held")
    page.click("text=Show held")
    expect(rows(page).locator("[data-state=held]")).to_have_count(2)

    page.goto(f"endpoints/{endpoint_id}")
    page.click("main >> text=Enable")
    enable = page.locator("#use").get_by_role("button", name="Enable")
    enable.click()  # without a choice, which the browser asks for
    expect(page.locator("#held")).to_be_visible()
    page.get_by_label("Send them, the oldest first").check()
    enable.click()
    expect(toast(page)).to_contain_text("2 held deliveries are on their way.")
    engine.run(seconds=60)
    assert len(receiver.received) == 2


def test_deleting_wants_the_name_and_keeps_the_log(page: Page, failed: str) -> None:
    page.goto(f"endpoints/{failed}/settings")
    page.fill("#confirmation", "orders")
    page.click("text=Delete endpoint")
    expect(page.locator("#confirmation-error")).to_be_visible()
    expect(page.locator("#confirmation")).to_have_value("orders")
    page.fill("#confirmation", "Orders")
    page.click("text=Delete endpoint")
    expect(toast(page)).to_contain_text("Endpoint “Orders” deleted.")
    expect(page.get_by_text("No endpoint yet")).to_be_visible()
    page.click("nav.side >> text=Deliveries")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Orders")


# ---- Deliveries


def test_from_a_broken_endpoint_to_its_failed_delivery_and_a_replay_in_place(
    page: Page, failed: str, receiver: Receiver, engine: DeliveryEngine, has_javascript: bool
) -> None:
    page.goto("./")
    expect(page.locator(".endpoints [data-state=failing]")).to_be_visible()
    page.click(".endpoints >> text=Orders")
    expect(page.locator(".banner").first).to_contain_text("Every attempt")
    page.click("text=Show deliveries")
    row = rows(page)
    expect(row.locator("[data-state=failed]")).to_be_visible()
    opened = open_row(page, row, has_javascript)
    expect(opened).to_contain_text("Given up: the endpoint answered 410 Gone.")
    expect(opened).to_contain_text('"batch_id": "b1"')

    opened.get_by_role("button", name="Replay").click()
    expect(toast(page)).to_contain_text("Replay started.")
    reason = opened.locator(".reason, .banner")
    expect(reason).to_contain_text("Replay started: the first attempt of a fresh schedule is next.")
    expect(reason).not_to_contain_text("gone for good")
    engine.run(seconds=60)
    let_change(page, has_javascript)
    expect(page.locator("main [data-state=delivered]").first).to_be_visible()
    if has_javascript:
        expect(row.locator(".row-preview")).to_contain_text("Delivered")
        expect(page).to_have_url(re.compile("status=failed"))
    assert len(receiver.received) == 2


def test_filters_live_in_the_address_and_the_back_button_undoes_them(
    page: Page, failed: str, workspace: Workspace, has_javascript: bool
) -> None:
    workspace.send()
    page.goto("deliveries/")
    expect(rows(page)).to_have_count(2)
    page.select_option("#f-status", "failed")
    if not has_javascript:
        page.click(".filters button")
    expect(rows(page)).to_have_count(1)
    page.fill("#q", "b1")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=b1"))
    if has_javascript:
        assert page.url.endswith("deliveries/?q=b1&status=failed")
    page.reload()
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#f-status")).to_have_value("failed")
    page.go_back()
    expect(page.locator("#q")).to_have_value("")
    page.go_back()
    expect(rows(page)).to_have_count(2)
    expect(page.locator("#f-status")).to_have_value("")

    page.fill("#q", "no such text")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No delivery matches")).to_be_visible()
    page.click("text=Clear filters")
    expect(rows(page)).to_have_count(2)


def test_turning_pages_shows_every_delivery_once(page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://hooks.example.com/")
    workspace.send(30)
    page.goto("deliveries/")
    newest = ids_of(page)
    page.click("text=Older")
    expect(rows(page)).to_have_count(5)
    older = ids_of(page)
    assert len(newest) == 25
    assert sorted({*newest, *older}, reverse=True) == newest + older
    expect(page).to_have_url(re.compile("before="))
    page.click("text=Newer")
    expect(rows(page)).to_have_count(25)
    assert ids_of(page) == newest


def test_selected_rows_are_replayed_at_once(
    page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, has_javascript: bool
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(3)
    engine.run(seconds=60)
    page.goto("deliveries/")
    for row in rows(page).all()[:2]:
        row.get_by_role("checkbox").check()
    page.click("text=Replay 2 selected" if has_javascript else "text=Replay selected")
    expect(toast(page)).to_contain_text("2 replays started.")
    expect(page.locator("[data-state=retrying]")).to_have_count(2)
    expect(page.locator("[name=delivery]:checked")).to_have_count(0)
    engine.run(seconds=60)
    let_change(page, has_javascript)
    expect(page.locator("[data-state=delivered]")).to_have_count(3)
    assert len(receiver.received) == 5


def test_a_waiting_delivery_is_canceled(
    page: Page, workspace: Workspace, has_javascript: bool, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    page.goto("deliveries/")
    opened = open_row(page, rows(page), has_javascript)
    expect(opened).to_contain_text("Waiting for its first attempt.")
    opened.get_by_role("button", name="Cancel").click()
    expect(toast(page)).to_contain_text("Canceled. Nothing more is sent until you replay it.")
    expect(opened).to_contain_text("Canceled: nothing more is sent.")
    engine.run(seconds=1)
    assert receiver.received == []


@with_javascript
def test_new_deliveries_are_announced_and_move_no_row(page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://hooks.example.com/")
    workspace.send()
    page.goto("deliveries/")
    before, place = ids_of(page), rows(page).first.bounding_box()
    workspace.send(2)
    let_change(page, True)
    news = page.locator("a.new-rows")
    expect(news).to_have_text("2 new deliveries")
    assert (ids_of(page), rows(page).first.bounding_box()) == (before, place)
    news.click()
    expect(rows(page)).to_have_count(3)


def test_markup_from_outside_is_only_ever_text(
    page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, has_javascript: bool
) -> None:
    receiver.answer = Answer(500, MARKUP.encode(), {"x-evil": MARKUP})
    workspace.endpoint(receiver.url, name=MARKUP[:100])
    workspace.send(note=MARKUP + LONG)
    engine.run(seconds=60)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for address in ("./", "deliveries/", f"deliveries/?q={LONG}"):
        page.goto(address)
        expect(page.locator("main")).to_contain_text(MARKUP[:60])
    opened = open_row(page, rows(page), has_javascript)
    expect(opened).to_contain_text("onerror=alert(2)")
    page.goto(f"deliveries/{ids_of(page)[0]}" if has_javascript else page.url)
    expect(page.locator("#attempt-1 .body")).to_have_text(MARKUP)
    expect(page.locator("#attempt-1")).to_contain_text("x-evil")
    assert not [url for url in asked if "evil" in url or url.endswith("/x")]
    assert page.locator("main :is(img, script, [hx-get='/evil'])").count() == 0


# ---- Who may, and how else


def test_a_viewer_sees_everything_and_can_press_nothing(
    open_page: OpenPage, workspace: Workspace, failed: str
) -> None:
    user_id = users.add(services().write, email="viewer@example.com", name="Vera", password=PASSWORD)
    members.add(services().write, workspace.id, user_id, Role.VIEWER, actor=TESTER)
    page = open_page("viewer@example.com")
    page.goto("deliveries/")
    delivery_id = ids_of(page)[0]
    for address in ("./", f"endpoints/{failed}", f"endpoints/{failed}/verify", f"deliveries/{delivery_id}"):
        page.goto(address)
        expect(page.locator("main form[method=post]")).to_have_count(0)
        for label in ("Add endpoint", "Disable", "Send test event", "Settings", "Replay", "Reveal", "Rotate"):
            expect(page.locator("main").get_by_text(label, exact=True)).to_have_count(0)
    page.goto(f"endpoints/{failed}/settings")
    expect(page.get_by_role("heading", name="You may not do that")).to_be_visible()


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
    press_until(page, "Tab", lambda page: order.append(focused(page)) or order[-1] == f"{delivery_id}-open")
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


def test_an_unknown_address_has_a_page_with_a_way_back(page: Page, app: Flask) -> None:
    page.goto("deliveries/dlv_none")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    page.click("text=Go to the endpoints")
    expect(page.get_by_role("heading", name="Endpoints")).to_be_visible()
