"""The paths through the log of deliveries, with JavaScript and without: whatever is reached is the same."""

import re

from playwright.sync_api import Page, expect

from tests.browser.steps import ids_of, let_change, open_row, rows, toast, with_javascript
from tests.browser.world import LONG, MARKUP
from tests.conftest import Workspace
from tests.receivers import Answer, Receiver
from webhooks_app.worker.engine import DeliveryEngine


def test_from_a_broken_endpoint_to_its_failed_delivery_and_a_replay_in_place(
    page: Page, failed: str, receiver: Receiver, engine: DeliveryEngine, has_javascript: bool
) -> None:
    page.goto("./")
    expect(page.locator(".endpoints [data-state=failing]")).to_be_visible()
    page.click(".endpoints >> text=Orders")
    card = page.locator("section.incident")
    expect(card).to_contain_text("gone for now")
    card.get_by_role("link", name="1 ×").click()
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
        expect(page).to_have_url(re.compile("response=410"))
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


def test_from_a_failure_to_what_differs_from_a_success(page: Page, failed: str, workspace: Workspace) -> None:
    page.goto("deliveries/")
    page.goto(rows(page).locator(".expander").get_attribute("href") or "")
    page.get_by_role("link", name="Compare with a success").click()
    expect(page.get_by_role("heading", name="Two attempts compared")).to_be_visible()
    expect(page.locator(".compared").first).to_contain_text("410")


@with_javascript
def test_an_attempt_has_a_link_to_hand_on(page: Page, failed: str, workspace: Workspace) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("deliveries/")
    page.goto(rows(page).locator(".expander").get_attribute("href") or "")
    page.get_by_role("button", name="Copy link to attempt 1").click()
    expect(toast(page)).to_contain_text("Copied")
    page.goto(page.evaluate("navigator.clipboard.readText()"))
    expect(page.locator("#attempt-1")).to_have_attribute("open", "")
    expect(page.locator("#attempt-1")).to_contain_text("POST /hooks")
