"""The paths through the endpoints' pages, with JavaScript and without: whatever is reached is the same."""

import re

from playwright.sync_api import Page, expect

from tests.browser.steps import let_change, rows, toast, with_javascript
from tests.conftest import Workspace
from tests.receivers import Receiver
from webhooks_app.worker.engine import DeliveryEngine


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
    expect(page.get_by_role("button", name="Enable and send 2 held")).to_be_visible()
    page.click(".banner >> text=settings")
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
