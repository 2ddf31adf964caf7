"""The stories that the console is for, played in Chromium; none may take more than it did."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, expect
from standardwebhooks import Webhook

from tests.browser import busy_log
from tests.browser.steps import rows, toast
from tests.browser.stories import STORIES, Cost, Play, table
from tests.conftest import Workspace
from tests.patience import PATIENT_TIMEOUT_MS
from tests.receivers import Answer, Received, Receiver
from tests.worker.attempted import make_due
from webhooks_app.accounts.audit import Actor
from webhooks_app.config import ROOT
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import actions
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.extensions import db, services
from webhooks_app.worker.engine import DeliveryEngine

MISSING = Answer(404, b'{"error": {"message": "no hook of that name"}}', {"content-type": "application/json"})


@pytest.fixture
def has_javascript() -> bool:
    return True


@pytest.fixture(scope="module")
def counted() -> Iterator[dict[str, Cost]]:
    """What each story took; printed at the end."""
    found: dict[str, Cost] = {}
    yield found
    print(f"\n\n{table(found)}")


@pytest.fixture
def working(workspace: Workspace) -> Iterator[None]:
    with busy_log.working(workspace.app):
        yield


@pytest.fixture
def busy(workspace: Workspace, database: WriteDatabase) -> None:
    busy_log.fill(database, workspace)


@pytest.fixture
def outage(
    busy: None, workspace: Workspace, database: WriteDatabase, receiver: Receiver, engine: DeliveryEngine
) -> str:
    """An endpoint that took 20 deliveries, then 40 that failed, since somebody changed its URL."""
    endpoint_id = workspace.endpoint(receiver.url, name="Billing")
    workspace.send(20)
    engine.run(seconds=60)
    endpoint = db.session.get_one(Endpoint, endpoint_id)
    moved = EndpointValues(
        name="Billing",
        url=receiver.url + "-v2",
        all_events=True,
        event_types=(),
        timeout_ms=PATIENT_TIMEOUT_MS,
    )
    actions.change(
        services().write, services().cipher, endpoint, moved, actor=Actor("dora@example.com", "127.0.0.1")
    )
    receiver.answer = lambda received: Answer() if received.path == "/hooks" else MISSING
    workspace.send(40)
    for _ in range(2):  # the next delay is of minutes
        make_due(database)
        engine.run(seconds=60)
    return endpoint_id


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def link(page: Page, name: str) -> Locator:
    return page.locator("main").get_by_role("link", name=name, exact=True)


def tab(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="Endpoint").get_by_role("link", name=name, exact=True)


def goto(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True)


class Told:
    """Holds each story to what it may take, and notes what it took."""

    def __init__(self, counted: dict[str, Cost]) -> None:
        self._counted = counted

    @contextmanager
    def __call__(self, name: str, page: Page) -> Iterator[Play]:
        play = Play(page)
        yield play
        cost, at_most = play.cost, STORIES[name].at_most
        self._counted[name] = cost
        assert cost.actions <= at_most.actions, f"{cost.actions} actions, {at_most.actions} before"
        assert cost.loads <= at_most.loads, f"{cost.loads} loads, {at_most.loads} before: {play.loads}"


@pytest.fixture
def story(counted: dict[str, Cost]) -> Told:
    return Told(counted)


def accept(secret: str, received: Received) -> None:
    """Do as a consumer that knows this secret alone. Raises what the library does for a wrong signature."""
    Webhook(secret).verify(received.body, received.headers)


def test_the_document_has_these_stories() -> None:
    assert table() in (ROOT / "docs" / "console.md").read_text()


def test_the_first_endpoint_to_a_verified_delivery(
    page: Page, story: Told, receiver: Receiver, working: None
) -> None:
    page.goto("./")
    with story("first", page) as play:
        play.click(link(page, "Add endpoint"))
        play.fill(page.get_by_label("Endpoint URL"), receiver.url)
        play.click(page.get_by_label("All events, future ones included"))
        play.click(page.locator(".form-foot button"))
        play.click(button(page, "Reveal"))
        secret = page.locator("#secret-1")
        expect(secret).not_to_contain_text("•")
        play.click(button(page, "Send test event"))
        expect(page.locator("main [data-state=delivered]").first).to_be_visible()
    accept(secret.inner_text(), receiver.received[-1])


def test_nothing_has_arrived_since_14_00(
    page: Page, story: Told, outage: str, receiver: Receiver, working: None
) -> None:
    page.goto("./")
    with story("outage", page) as play:
        play.click(link(page, "Billing"))
        incident = page.get_by_role("region", name="Incident")
        expect(incident).to_contain_text("Failing since")
        expect(incident).to_contain_text("40 ×")
        expect(incident).to_contain_text("404")
        expect(incident).to_contain_text("no hook of that name")
        expect(incident).to_contain_text("dora@example.com changed")
        expect(incident).to_contain_text("40 retrying")
        play.fill(incident.get_by_label("URL"), receiver.url)
        play.press("Enter")
        expect(toast(page)).to_contain_text("URL saved")
        expect(page.locator("#endpoint-address")).to_have_text(receiver.url)
        expect(incident.get_by_label("URL")).to_have_value(receiver.url)
        play.click(button(page, "Test"))
        expect(page.locator("#incident-test")).to_contain_text("Delivered")
        play.click(button(page, "Send all 40 now"))
        expect(page.locator("#recovery")).to_contain_text("40 of 40")
        expect(page.locator("main")).to_contain_text("40 delivered")
    assert sum(each.path == "/hooks" for each in receiver.received) == 20 + 1 + 40


def test_a_secret_is_rotated_safely(
    page: Page, story: Told, busy: None, workspace: Workspace, receiver: Receiver, working: None
) -> None:
    workspace.endpoint(receiver.url, name="Billing")
    page.goto("./")
    with story("rotate", page) as play:
        play.click(link(page, "Billing"))
        play.click(tab(page, "Verify"))
        play.click(button(page, "Rotate secret"))
        play.click(button(page, "Reveal"))
        secret = page.locator("#secret-1")
        expect(secret).not_to_contain_text("•")
        known = secret.inner_text()
        play.click(button(page, "Send test event"))
        expect(page.locator("main [data-state=delivered]").first).to_be_visible()
        accept(known, receiver.received[-1])
        play.click(page.get_by_text("Revoke now"))
        play.click(page.get_by_role("button", name="Revoke previous secret"))
        expect(toast(page)).to_contain_text("stopped signing")


def test_what_was_sent_about_a_batch_is_found(page: Page, story: Told, busy: None) -> None:
    page.goto("./")
    with story("find", page) as play:
        play.click(page.get_by_role("link", name="Find"))
        play.fill(page.get_by_role("searchbox", name="Find anything"), "batch_00123")
        expect(page.locator("#palette [data-found-for=batch_00123] a")).not_to_have_count(0)
        play.press("Enter")
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_contain_text("batch_00123")


def test_who_gets_an_event(page: Page, story: Told, busy: None, workspace: Workspace) -> None:
    workspace.endpoint("https://hooks.example.com/", name="Billing")
    page.goto("./")
    with story("subscribers", page) as play:
        play.choose(page.get_by_label("Gets"), "batch-lifecycle")
        expect(page.locator(".endpoints tbody")).to_have_count(1)
        expect(page.locator(".endpoints tbody")).to_contain_text("Billing")


def test_a_viewer_is_invited(page: Page, story: Told) -> None:
    page.goto("./")
    with story("invite", page) as play:
        play.click(goto(page, "Members"))
        play.fill(page.get_by_label("E-mail of somebody to invite"), "grace@example.com")
        play.press("Enter")
        expect(page.locator("#link")).to_contain_text("/invitations/")


def test_a_maintenance_loses_nothing(
    page: Page, story: Told, busy: None, workspace: Workspace, receiver: Receiver, working: None
) -> None:
    workspace.endpoint(receiver.url, name="Billing")
    page.goto("./")
    with story("maintenance", page) as play:
        play.click(link(page, "Billing"))
        play.click(tab(page, "Settings"))
        play.click(button(page, "Disable"))
        expect(toast(page)).to_contain_text("Endpoint disabled.")
        workspace.send(5)
        assert receiver.received == []
        play.click(button(page, "Enable and send 5 held"))
        expect(toast(page)).to_contain_text("5 held deliveries are on their way.")
        expect(page.locator("main [data-state=healthy]").first).to_be_visible()
    assert len(receiver.received) == 5


def test_go_code_that_verifies(page: Page, story: Told, workspace: Workspace) -> None:
    endpoint_id = workspace.endpoint("https://hooks.example.com/")
    page.goto(f"endpoints/{endpoint_id}")
    with story("go", page) as play:
        play.click(tab(page, "Verify"))
        play.click(link(page, "Go"))
        expect(page.locator("#snippet-1")).to_contain_text("func ")


def test_what_an_attempt_sent_and_got_is_shared(page: Page, story: Told, outage: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("deliveries/")
    with story("share", page) as play:
        play.click(rows(page).first.locator(".expander"))
        play.click(rows(page).first.get_by_role("button", name="Copy link to attempt"))
        expect(toast(page)).to_contain_text("Copied")
    page.goto(page.evaluate("navigator.clipboard.readText()"))
    expect(page.locator("details[open] .attempt-body").first).to_contain_text("no hook of that name")


def test_a_failed_attempt_is_compared_with_a_success(page: Page, story: Told, outage: str) -> None:
    page.goto("deliveries/")
    with story("compare", page) as play:
        play.click(rows(page).first.locator(".expander"))
        play.click(rows(page).first.get_by_role("link", name="Compare"))
        expect(page.locator(".compared").first).to_contain_text("404")
        expect(page.locator(".compared").first).to_contain_text("200")


def test_a_test_that_was_edited(
    page: Page, story: Told, busy: None, workspace: Workspace, receiver: Receiver, working: None
) -> None:
    workspace.endpoint(receiver.url, name="Billing")
    page.goto("./")
    with story("test", page) as play:
        play.click(link(page, "Billing"))
        play.click(link(page, "Send test event"))
        play.choose(page.get_by_label("Event", exact=True), "batch-lifecycle")
        expect(page.locator("label[for=data]")).to_contain_text("batch-lifecycle")
        play.fill(page.locator("#data"), '{"batch_id": "batch_edited", "status": "failed"}')
        play.click(button(page, "Send test event"))
        expect(page.locator("h1 [data-state=delivered]")).to_be_visible()
    assert b"batch_edited" in receiver.received[-1].body
