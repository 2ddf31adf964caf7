"""The console in a browser, behind a proxy that shows it under a path of its own."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from flask import Flask
from playwright.sync_api import Browser, expect

from tests.browser.conftest import opened
from tests.browser.steps import open_row, rows
from tests.conftest import PASSWORD, Workspace, make_settings
from tests.served_app import served
from webhooks_app.config import Settings

PREFIX = "/tools/hooks"
STRAY = 418
NOT_PASSED_ON = {"transfer-encoding", "connection", "keep-alive", "content-length", "content-encoding"}


class PrefixProxy(ThreadingHTTPServer):
    """Passes on what is below the prefix, with it or without; `strays` are the paths that are not."""

    daemon_threads = True

    def __init__(self, *, strips: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.strips, self.upstream, self.strays = strips, "", list[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: PrefixProxy

    def do_GET(self) -> None:
        path = self.path
        if not path.startswith(f"{PREFIX}/"):
            self.server.strays.append(path)
            self.send_error(STRAY)
            return
        path = path.removeprefix(PREFIX) if self.server.strips else path
        answer = requests.request(
            self.command,
            self.server.upstream + path,
            data=self.rfile.read(int(self.headers.get("content-length", 0))),
            headers=dict(self.headers.items()),
            allow_redirects=False,
            timeout=30,
        )
        self.send_response(answer.status_code)
        for name, value in answer.raw.headers.items():
            if name.lower() not in NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=[True, False], ids=["stripping", "not stripping"])
def proxy(request: pytest.FixtureRequest) -> Iterator[PrefixProxy]:
    server = PrefixProxy(strips=request.param)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path, proxy: PrefixProxy) -> Settings:
    return make_settings(database_url, redis_url, tmp_path, WEBHOOKS_BASE_URL=proxy.url + PREFIX)


def test_the_console_works_under_a_path(
    chromium: Browser,
    app: Flask,
    proxy: PrefixProxy,
    workspace: Workspace,
    failed: str,
    problems: list[str],
    has_javascript: bool,
) -> None:
    base = f"{PREFIX}/w/{workspace.id}/alerts/webhooks/"
    with (
        served(app) as proxy.upstream,
        opened(chromium, proxy.url, problems, base=base, java_script_enabled=has_javascript) as page,
    ):
        page.goto("deliveries/?status=failed")
        page.fill("#email", workspace.admin_email)
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{base}deliveries/?status=failed")

        row = rows(page).first
        open_row(page, row, has_javascript)
        page.goto("deliveries/")
        page.locator("nav a", has_text="Endpoints").first.click()
        page.wait_for_url(f"**{base}")
        page.click("a:has-text('Add endpoint') >> nth=0")
        page.fill("#name", "Behind a proxy")
        page.fill("#url", "https://hooks.example.com/in")
        page.get_by_label("All events, future ones included").check()
        page.click("text=Add header")
        page.fill("#headers [name$='-name']", "X-Tenant")
        page.fill("#headers [name$='-value']", "acme")
        page.click(".form-foot button")
        expect(page.get_by_role("heading", name="Signing secret")).to_be_visible()
        assert page.url.startswith(proxy.url + base)

        page.goto("deliveries/dlv_none")
        page.click("text=Go to the endpoints")
        page.wait_for_url(f"**{base}")
        page.locator(".brand").locator("visible=true").first.click()
        page.wait_for_url(f"**{base}")
        page.click("text=Log out")
        page.wait_for_url(f"**{PREFIX}/login")
    assert proxy.strays == [] or proxy.strays == ["/favicon.ico"]
