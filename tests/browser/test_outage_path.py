"""An outage from the first page on: which endpoint, why, mended, tried, sent, and healthy again."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.steps import with_javascript
from tests.conftest import Workspace
from tests.receivers import Answer, Receiver
from tests.worker.attempted import make_due
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.deliveries import recovery_runs
from webhooks_app.extensions import services
from webhooks_app.worker.engine import DeliveryEngine

POLL_MS = 5_000
MISSING = b'{"error": {"message": "column batch_status does not exist"}}'


def begin_outage(workspace: Workspace, receiver: Receiver, engine: DeliveryEngine) -> str:
    """An endpoint whose URL lost its last letter after the first delivery."""
    receiver.answer = lambda got: Answer(200) if got.path == "/hooks" else Answer(404, MISSING)
    endpoint_id = workspace.endpoint(receiver.url, name="Orders")
    workspace.endpoint(receiver.url, name="Another", all_events=False, event_types=["api-key-creation"])
    workspace.send()
    engine.run(seconds=60)
    return endpoint_id


def test_an_outage_is_understood_mended_and_drained_in_five_actions(
    page: Page,
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    databases: Databases,
    has_javascript: bool,
) -> None:
    begin_outage(workspace, receiver, engine)
    page.goto("./")
    page.get_by_role("link", name="Orders", exact=True).click()
    page.get_by_role("link", name="Settings").last.click()
    page.fill("#url", receiver.url.removesuffix("s"))
    page.get_by_role("button", name="Save changes").click()
    workspace.send(4)
    engine.run(seconds=60)

    page.goto("./")
    row = page.locator("tbody", has_text="Orders")
    expect(row).to_contain_text("Failing")
    expect(row).to_contain_text("404 Rejected")
    loads: list[str] = []
    page.on("load", lambda tab: loads.append(tab.url))

    page.get_by_role("link", name="Orders", exact=True).click()  # 1
    card = page.locator("section.incident")
    expect(card).to_contain_text(re.compile(r"Failing since (\d+ \w+, )?\d\d:\d\d"))
    expect(card).to_contain_text("4 ×")
    expect(card).to_contain_text("column batch_status does not exist")
    expect(card).to_contain_text("changed this endpoint (URL)")
    expect(card).to_contain_text("4 retrying")

    card.get_by_label("URL").fill(receiver.url)
    card.get_by_role("button", name="Save URL").click()  # 2
    expect(page.get_by_text("URL saved").last).to_be_visible()

    card.get_by_role("button", name="Test").click()  # 3
    expect(page.locator("#incident-test")).to_contain_text("Pending")
    engine.run(seconds=60)
    if has_javascript:
        page.clock.fast_forward(1_000)
    else:
        page.reload()
    expect(page.locator("#incident-test")).to_contain_text("Delivered 200")

    page.get_by_role("button", name="Send all 4 now").click()  # 4
    expect(page.get_by_role("heading", name="Recovery")).to_be_visible()
    recovery_runs.run_all(databases, services(workspace.app).wake_ups)
    engine.run(seconds=60)

    page.go_back()  # 5
    expect(page.locator("#endpoint-now")).to_contain_text("Delivering.")
    assert len(loads) <= (3 if has_javascript else 7)
    assert len(receiver.received) == 1 + 4 + 1 + 4


@with_javascript
def test_an_open_page_goes_to_failing_and_back_by_itself(
    page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = begin_outage(workspace, receiver, engine)
    page.goto(f"endpoints/{endpoint_id}")
    state = page.locator("#endpoint-health")
    expect(state).to_contain_text("Healthy")
    receiver.answer = Answer(500, b"no disk space left")
    workspace.send(3)
    engine.run(seconds=60)

    page.clock.fast_forward(POLL_MS)
    expect(state).to_contain_text("Failing")
    card = page.locator("section.incident")
    expect(card).to_contain_text("no disk space left")
    card.get_by_label("URL").fill("https://typed.example.com/")
    workspace.send()
    engine.run(seconds=60)
    page.clock.fast_forward(POLL_MS)
    expect(card).to_contain_text("4 ×")
    expect(card.get_by_label("URL")).to_have_value("https://typed.example.com/")

    receiver.answer = Answer(200)
    make_due(database)
    engine.run(seconds=60)
    page.clock.fast_forward(POLL_MS)
    expect(state).to_contain_text("Healthy")
    expect(page.locator("#endpoint-now")).to_contain_text("Delivering.")
    expect(card).to_have_count(0)


@with_javascript
def test_the_list_moves_by_itself_and_keeps_its_rows_in_place(
    page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    begin_outage(workspace, receiver, engine)
    page.goto("./")
    rows = page.locator("table.endpoints tbody")
    expect(rows.last).to_contain_text("Orders")
    place = _corner(rows.last)
    receiver.answer = Answer(500)
    workspace.send(3)
    engine.run(seconds=60)

    page.clock.fast_forward(POLL_MS)
    expect(rows.last).to_contain_text("Failing")
    expect(page.locator("#endpoint-summary")).to_contain_text("1 failing")
    assert _corner(rows.last) == place  # though it is higher, as it says what waits
    page.reload()
    expect(rows.first).to_contain_text("Orders")


def _corner(row: Locator) -> tuple[float, float]:
    box = row.bounding_box()
    assert box
    return box["x"], box["y"]


def test_an_endpoint_is_chosen_by_a_part_of_its_name(
    page: Page, workspace: Workspace, has_javascript: bool
) -> None:
    workspace.endpoint("https://a.example.com/", name="Orders")
    workspace.endpoint("https://a.example.com/", name="Billing")
    workspace.send()
    page.goto("deliveries/")
    expect(page.locator("tbody[id^=dlv_]")).to_have_count(2)
    field = page.get_by_label("Endpoint", exact=True)
    options = page.locator("#endpoint-options option")
    field.focus()
    if has_javascript:
        expect(options).to_have_count(2)
    field.fill("bill")
    if has_javascript:
        page.clock.fast_forward(500)
        expect(options).to_have_count(1)
        expect(options).to_have_attribute("value", "Billing")
    field.press("Enter")
    expect(page.locator("tbody[id^=dlv_]")).to_have_count(1)
    expect(page.locator("tbody[id^=dlv_]")).to_contain_text("Billing")
