"""Charts of traffic by keyboard, by touch and without JavaScript; times of a filter in the reader's zone."""

import re
from contextlib import ExitStack
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import opened, session_of
from tests.browser.steps import rows
from tests.conftest import Workspace
from tests.receivers import Answer, Receiver
from tests.waiting import wait_for_a_long_rest_of_the_bin
from webhooks_app.worker.engine import DeliveryEngine


@pytest.fixture
def delivered(workspace: Workspace, receiver: Receiver, engine: DeliveryEngine) -> str:
    """The endpoint of three deliveries, of which one failed."""
    endpoint_id = workspace.endpoint(receiver.url)
    answers = iter([200, 200, 404])
    receiver.answer = lambda _: Answer(next(answers))
    wait_for_a_long_rest_of_the_bin()
    workspace.send(3)
    engine.run(seconds=60)
    return endpoint_id


def start_of(page: Page) -> str:
    """From when the log is filtered, by its address."""
    return parse_qs(urlsplit(page.url).query)["from"][0]


def test_a_bar_is_read_by_touch_and_keyboard_and_leads_into_the_log(
    chromium: Browser, app: Flask, site: str, workspace: Workspace, delivered: str, problems: list[str]
) -> None:
    base, session = f"/w/{workspace.id}/alerts/webhooks/", session_of(app, workspace.admin_email)
    with ExitStack() as pages:
        page = pages.enter_context(
            opened(
                chromium,
                site,
                problems,
                base=base,
                session=session,
                has_touch=True,
                viewport={"width": 375, "height": 800},
                timezone_id="Asia/Kolkata",
            )
        )
        page.goto("traffic/?period=1h")
        legend = page.locator("[data-legend]")
        whole = legend.inner_text()
        bar = page.locator("svg g[data-from]").last
        box = bar.locator("rect").bounding_box()
        assert box
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2)
        expect(legend).to_contain_text(
            re.compile(r"\d\d:\d\d UTC to (\d+ \w+, )?\d\d:\d\d UTC\s*404 1\s*200 2")
        )
        assert "traffic/" in page.url

        page.keyboard.press("Escape")
        page.locator("a.column").last.focus()
        expect(legend).to_contain_text("404 1")
        page.keyboard.press("Escape")
        expect(legend).to_have_text(re.compile(whole.split()[0]))
        page.locator("a.column").last.press("Home")
        expect(page.locator("a.column[tabindex='0']")).to_have_count(1)
        legend.get_by_role("link", name="404 1").click()
        expect(rows(page)).to_have_count(1)

        # What the log is filtered by stands in the reader's zone, and is sent in UTC.
        address, sent = page.url, start_of(page)
        page.locator("[data-times=local]").evaluate("button => button.click()")
        expect(page.locator("label[for=f-from]")).to_have_text("From, +05:30")
        shown = page.locator("#f-from").input_value()
        assert shown != sent
        page.select_option("#f-status", "retrying")
        expect(page).to_have_url(re.compile("status=retrying"))
        assert start_of(page) == sent
        expect(rows(page)).to_have_count(1)
        page.goto(address)
        expect(page.locator("#f-from")).to_have_value(shown)


@pytest.mark.parametrize("has_javascript", [False], ids=["no-javascript"])
def test_without_javascript_the_table_has_what_the_chart_shows(page: Page, delivered: str) -> None:
    page.goto(f"endpoints/{delivered}")
    page.locator("details.figures summary", has_text="Attempts as a table").click()
    row = page.locator(".traffic tbody tr").first
    expect(row).to_contain_text(re.compile(r"UTC\s*3\s*1\s*1\s*2"))
    page.get_by_role("link", name="By event type").click()
    expect(page.locator("[data-legend]")).to_contain_text("batch-lifecycle 3")
    page.locator(".legend a").first.click()
    expect(rows(page)).to_have_count(3)
    page.goto("deliveries/?range=custom&from=2020-01-01T00:00")
    expect(page.locator("label[for=f-from]")).to_have_text("From, UTC")

    page.emulate_media(media="print")  # on paper: what the log is filtered by, columns, and exact times
    page.set_viewport_size({"width": 700, "height": 900})
    expect(page.locator(".print-only")).to_have_text("Range: custom, From: 2020-01-01T00:00")
    expect(page.locator(".side")).to_be_hidden()
    expect(page.get_by_role("columnheader", name="Response")).to_be_visible()
    moment = rows(page).first.locator(".c-time time")
    shown = moment.evaluate("time => getComputedStyle(time, '::after').content")
    assert shown == f'"{moment.get_attribute("title")}"'
