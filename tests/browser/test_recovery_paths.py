"""The paths of recoveries: an outage that is over, one in progress, and whatever a filter finds."""

import re
from datetime import timedelta

from playwright.sync_api import Page, expect
from sqlalchemy import update

from tests.browser.steps import let_change, rows, toast
from tests.conftest import Workspace
from tests.deliveries.conftest import fail_all, states
from tests.receivers import Answer, Receiver
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import PendingDelivery
from webhooks_app.deliveries import recovery_runs
from webhooks_app.extensions import services
from webhooks_app.worker.engine import DeliveryEngine


def work(workspace: Workspace, databases: Databases) -> None:
    """As a worker does: every recovery to its end."""
    recovery_runs.run_all(databases, services(workspace.app).wake_ups)


def put_off(database: WriteDatabase) -> None:
    """Let nothing be due while the pages are looked at."""
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=clock.now() + timedelta(hours=4)))


def test_an_outage_is_recovered_counted_watched_and_stopped(
    page: Page, has_javascript: bool, workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(20)
    fail_all(database)
    page.goto("deliveries/?status=failed")
    page.get_by_role("link", name="Replay… everything that matches").click()
    expect(page.locator("#preview")).to_contain_text("20 deliveries would be replayed")
    page.get_by_label("Last response").select_option(label="Timed out")
    if not has_javascript:
        page.click("text=Count")
    expect(page).to_have_url(re.compile("response=timeout"))
    page.click("text=Replay 20")
    expect(page.locator("#recovery")).to_contain_text("0 of 20 replayed")
    expect(page.locator("#recovery-title")).to_contain_text("Running")

    work(workspace, databases)
    let_change(page, has_javascript)
    expect(page.locator("#recovery-title")).to_contain_text("Done")
    expect(page.locator("#recovery")).to_contain_text("20 of 20 replayed")
    expect(page.locator(".outcomes")).to_contain_text("20 retrying")
    page.click("text=Show them in the log")
    expect(rows(page)).to_have_count(20)

    fail_all(database)
    page.goto("recoveries/")
    page.click("text=Recover deliveries")
    page.get_by_label("Pace", exact=True).select_option("10")
    page.click("text=Replay 20")
    expect(page.locator("#recovery")).to_contain_text("10 a second at most")
    page.click("#cancel-recovery")
    expect(toast(page)).to_contain_text("Recovery stopped")
    expect(page.locator("#recovery-title")).to_contain_text("Stopped")


def test_after_a_new_url_is_tested_all_that_waits_is_sent_at_one_press(
    page: Page,
    has_javascript: bool,
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    databases: Databases,
) -> None:
    endpoint_id = workspace.endpoint(f"{receiver.url}/old")
    workspace.send(8)
    receiver.answer = lambda received: Answer(404 if received.path.endswith("/old") else 200)
    engine.run(seconds=60)
    put_off(database)

    page.goto(f"endpoints/{endpoint_id}/settings")
    page.fill("#url", f"{receiver.url}/new")
    page.click(".form-foot button")
    expect(page.locator("main")).to_contain_text("8 deliveries wait for their next attempt")
    page.click("text=Test it first")
    page.locator("main form").get_by_role("button", name="Send test event").click()
    engine.run(seconds=60)
    let_change(page, has_javascript)
    expect(page.locator("#delivery-title")).to_contain_text("Delivered")
    page.click("text=Send all 8 now")

    expect(page.locator("#recovery")).to_contain_text("0 of 8 sent")
    work(workspace, databases)
    engine.run(seconds=60)
    let_change(page, has_javascript)
    expect(page.locator(".outcomes")).to_contain_text("8 delivered")
    assert states() == {"delivered": 9}


def test_what_waits_is_canceled_at_once(
    page: Page, has_javascript: bool, workspace: Workspace, databases: Databases, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(30)
    put_off(database)
    page.goto("deliveries/?status=pending")
    page.get_by_role("link", name="Cancel… everything that matches").click()
    expect(page.locator("#preview")).to_contain_text("30 deliveries would be canceled")
    page.click("text=Cancel 30")
    work(workspace, databases)
    let_change(page, has_javascript)
    expect(page.locator("#recovery")).to_contain_text("30 of 30 canceled")
    assert states() == {"canceled": 30}


def test_tests_are_marked_and_filtered_out(
    page: Page, has_javascript: bool, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send(2)
    page.goto(f"endpoints/{endpoint_id}/test")
    page.locator("main form").get_by_role("button", name="Send test event").click()
    expect(page.locator("#delivery-title .tag")).to_have_text("Test")
    engine.run(seconds=60)
    page.goto("deliveries/")
    expect(rows(page)).to_have_count(3)
    expect(page.locator(".c-event .tag")).to_have_count(1)
    page.get_by_label("Traffic").select_option("real")
    if not has_javascript:
        page.click("#filters button:has-text('Filter')")
    expect(rows(page)).to_have_count(2)
