"""A real Chromium before a real server. Whatever the browser complains about fails the test."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)
from sqlalchemy import update

from tests.browser import steady_network
from tests.conftest import Workspace, unavailable
from tests.receivers import Answer, Receiver
from tests.served_app import served
from tests.web.conftest import Page as Client
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint
from webhooks_app.worker.engine import DeliveryEngine

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The first has no windows, profiles or extensions to start: a tab costs half of what it does in the others.
PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
VIEWPORT = ViewportSize(width=1280, height=800)
# Slower than this is broken, on a busy machine too.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)

OpenPage = Callable[[str | None], Page]


@pytest.fixture(scope="package")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests, which have a context each: launching it takes a second."""
    path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if path is None:
        unavailable("A browser", "on Debian: apt install chromium-headless-shell.")
    with sync_playwright() as playwright:
        started = steady_network.starter(path, tmp_path_factory.mktemp("browser"))
        browser = playwright.chromium.launch(executable_path=started, args=ARGUMENTS)
        yield browser
        browser.close()


def session_of(app: Flask, email: str) -> str:
    """The session cookie of a log-in. Within an application context."""
    client = Client(app, "/")
    client.log_in(email)
    cookie = client.client.get_cookie("session")
    assert cookie
    return cookie.value


@contextmanager
def opened(
    chromium: Browser, site: str, problems: list[str], *, base: str = "/", session: str = "", **options: Any
) -> Iterator[Page]:
    """A page in a context of its own. Addresses are relative to `base`, as those of links are."""
    context = chromium.new_context(**({"base_url": site + base, "viewport": VIEWPORT} | options))
    context.set_default_timeout(PATIENCE_MS)
    if session:
        context.add_cookies([{"name": "session", "value": session, "url": site}])
    page = context.new_page()
    watch(page, site, problems)
    yield page
    context.close()


def watch(page: Page, site: str, problems: list[str]) -> None:
    """Notes what no page may do: errors, violations of the CSP, dialogs, requests to elsewhere."""
    loading: list[Request] = []

    def hear(message: ConsoleMessage) -> None:
        # Chromium reports each 4xx of a page as an error of its own; a refused form is none of ours.
        is_refusal = "the server responded with a status of 4" in message.text
        is_asset = urlsplit(message.location["url"]).path.startswith("/static/")
        # A test that looks at a page while it loads meets oat's rules before console.css replaces some.
        is_early = loading and message.text.startswith("Loading the image 'data:")
        if message.type == "error" and (is_asset or not is_refusal) and not is_early:
            problems.append(f"console: {message.text}")

    def dismiss(dialog: Dialog) -> None:
        problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def check(request: Request) -> None:
        if not request.url.startswith((f"{site}/", "data:")):
            problems.append(f"request to elsewhere: {request.url}")
        if request.is_navigation_request():
            loading.append(request)

    page.on("load", lambda _: loading.clear())
    page.on("console", hear)
    page.on("pageerror", lambda error: problems.append(f"script: {error}"))
    page.on("dialog", dismiss)
    page.on("request", check)


@pytest.fixture
def problems() -> Iterator[list[str]]:
    """What the browser complained about; a test that provokes something clears it."""
    found: list[str] = []
    yield found
    assert not found, "\n".join(found)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """A browser sees no difference between databases: SQLite only."""
    return sqlite_url


@pytest.fixture
def site(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


@pytest.fixture(params=[True, False], ids=["javascript", "no-javascript"])
def has_javascript(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def open_page(
    chromium: Browser, app: Flask, site: str, workspace: Workspace, has_javascript: bool, problems: list[str]
) -> Iterator[OpenPage]:
    """A page of whoever has that e-mail address or, with None, of nobody."""
    base = f"/w/{workspace.id}/alerts/webhooks/"
    with ExitStack() as pages:

        def open_as(email: str | None) -> Page:
            session = session_of(app, email) if email else ""
            tab = opened(
                chromium, site, problems, base=base, session=session, java_script_enabled=has_javascript
            )
            page = pages.enter_context(tab)
            page.clock.install()  # time goes on as ever, and can be made to jump
            return page

        yield open_as


@pytest.fixture
def page(open_page: OpenPage, workspace: Workspace) -> Page:
    """Of the workspace's admin."""
    return open_page(workspace.admin_email)


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
