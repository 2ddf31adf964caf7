"""The main path in a real Chromium, against a real server: with JavaScript, and without."""

import shutil
import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import Engine as Database
from werkzeug.serving import make_server

from tests.conftest import PASSWORD, Workspace, unavailable
from tests.receivers import Answer, Receiver
from webhooks_app.delivery.engine import Engine

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def site(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=[True, False], ids=["javascript", "no-javascript"])
def page(request: pytest.FixtureRequest) -> Iterator["object"]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("Playwright", "pip install -r requirements-dev.txt.")
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        unavailable("A browser", "on Debian: apt install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        page = browser.new_page(java_script_enabled=request.param)
        page.problems = []
        page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        yield page
        # Chromium reports each 4xx of a page as an error of its own; a refused form is none of ours.
        assert [problem for problem in page.problems if "422" not in problem] == []
        browser.close()


def log_in(page, site: str, workspace: Workspace) -> None:  # type: ignore[no-untyped-def]
    page.goto(site)
    page.fill("#email", workspace.admin_email)
    page.fill("#password", PASSWORD)
    page.click("form.login button")
    page.wait_for_url("**/alerts/webhooks/")


def test_an_admin_finds_a_failed_delivery_and_replays_it(  # type: ignore[no-untyped-def]
    page, site: str, workspace: Workspace, receiver: Receiver, engine: Engine, database: Database
) -> None:
    workspace.endpoint(receiver.url)
    receiver.answer = Answer(410, b"gone for now")
    workspace.send()
    engine.run(seconds=5)
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE endpoints SET state = 'enabled', disabled_at = NULL")

    log_in(page, site, workspace)
    page.click("nav.side >> text=Deliveries")
    row = page.locator("tbody[id^=dlv_]")
    assert "Failed" in row.inner_text()
    receiver.answer = Answer(200)
    row.locator("button", has_text="Replay").first.click()
    page.wait_for_selector("text=Replay started")
    engine.run(seconds=5)
    if page.evaluate("typeof window.htmx") == "undefined":
        page.reload()
    page.wait_for_selector("tbody[id^=dlv_] [data-state=delivered]", timeout=15_000)

    assert len(receiver.received) == 2


def test_an_admin_adds_an_endpoint_and_mistakes_are_shown_at_the_field(  # type: ignore[no-untyped-def]
    page, site: str, workspace: Workspace
) -> None:
    log_in(page, site, workspace)
    page.click("text=Add endpoint")
    page.fill("[name=name]", "Orders")
    page.fill("[name=url]", "ftp://example.com/hooks?kept=1")
    page.click("main form button[type=submit], main form .form-foot button")
    page.wait_for_selector("[name=url][aria-invalid=true]")
    assert page.input_value("[name=url]") == "ftp://example.com/hooks?kept=1"
    assert page.input_value("[name=name]") == "Orders"
