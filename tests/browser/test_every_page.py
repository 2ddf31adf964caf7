"""Every page in both themes, wide and narrow: axe-core, errors, what is cut off. With `-n0`, screenshots."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, ViewportSize
from playwright.sync_api import Page as Tab
from sqlalchemy import update

from tests.browser.conftest import VIEWPORT, opened, session_of
from tests.browser.pages import NOT_PAGES, PAGES, Page, views
from tests.browser.world import VIEWER_EMAIL, World, prepared
from tests.conftest import make_settings
from tests.patience import patient_app
from tests.served_app import served
from webhooks_app.core import clock
from webhooks_app.db.models import User
from webhooks_app.extensions import db, services

SCREENSHOTS = Path(__file__).parents[2] / "artifacts" / "screenshots"
# Who looks at pages runs these tests alone, in one process; for all tests it would cost half a minute.
KEEPS_SCREENSHOTS = "PYTEST_XDIST_WORKER" not in os.environ
Theme = Literal["light", "dark"]
WIDE, NARROW = VIEWPORT, ViewportSize(width=375, height=800)
ZOOMED = ViewportSize(width=320, height=256)  # 1280 by 1024 at 400 % (WCAG 1.4.10)
AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
# A rule that no list of tags brings along: 7:1 for text, WCAG's AAA.
CONTRAST = "color-contrast-enhanced"
RUN_AXE = f"""async (rules) => (await axe.run({{
    runOnly: rules, rules: {{"{CONTRAST}": {{enabled: true}}}}, resultTypes: ["violations"],
}})).violations"""
ALL_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOR_RULES = ["color-contrast", CONTRAST, "link-in-text-block"]
# One that an earlier page left filled in would ask before the tab may go on.
FORGET_FORMS = "() => document.querySelectorAll('form[data-guard]').forEach((form) => form.remove())"
NEXT_FRAME = "() => new Promise((resolve) => requestAnimationFrame(() => resolve()))"
# What reaches over the right edge, and text that its own box cuts off without saying so.
CUT_OFF = """() => {
    const clips = (element) => getComputedStyle(element).overflowX !== "visible";
    const ancestors = function* (element) {
        while ((element = element.parentElement) !== document.body) yield element;
    };
    const isForEars = (element) => getComputedStyle(element).clipPath !== "none";
    const problems = [];
    for (const element of document.querySelectorAll("body :not(svg *, input)")) {
        const around = [...ancestors(element)], {left, right, width} = element.getBoundingClientRect();
        if (!width || !element.checkVisibility() || [element, ...around].some(isForEars)) continue;
        const words = element.textContent.trim().slice(0, 40);
        const name = `${element.tagName.toLowerCase()}.${element.className} “${words}”`;
        const isOut = right > document.documentElement.clientWidth + 1 || left < -1;
        if (isOut && !around.some(clips)) problems.push(`${name} reaches over the edge`);
        const {overflowX, textOverflow} = getComputedStyle(element);
        const cuts = overflowX === "hidden" || overflowX === "clip";
        if (cuts && textOverflow !== "ellipsis" && element.scrollWidth > element.clientWidth + 1)
            problems.push(`${name} is cut off`);
    }
    return problems;
}"""

# What a finger has to hit (WCAG 2.5.5), with the label or the area around that belongs to it. Exempt are
# links within a sentence or a cell.
TOO_SMALL = """() => {
    const isBox = (element) => ["checkbox", "radio"].includes(element.type);
    const tall = (element) => {
        const around = getComputedStyle(element, "::after");
        const parts = [element, ...(isBox(element) ? element.labels : [])];
        const heights = parts.map((part) => part.getBoundingClientRect().height);
        return Math.max(...heights, around.position === "absolute" ? parseFloat(around.height) : 0);
    };
    const isForEars = (element) => element.closest(".vh, .skip, thead");
    const isText = (link) => getComputedStyle(link).display === "inline" || link.matches("td *, svg *");
    const problems = [];
    for (const element of document.querySelectorAll("a, button, input, select, summary, textarea")) {
        const isSeen = element.getBoundingClientRect().width && element.checkVisibility();
        if (!isSeen || isForEars(element) || element.matches("a") && isText(element)) continue;
        if (tall(element) < 43.5) problems.push(`${element.outerHTML.slice(0, 80)}: ${tall(element)} px`);
    }
    return problems;
}"""


@dataclass
class Site:
    """The console with a tab for each person: a browser that has the assets shows a page in half the time."""

    world: World
    tabs: dict[str, Tab]
    problems: list[str]


@pytest.fixture(scope="module")
def console(
    chromium: Browser,
    sqlite_template: Path,
    redis_database: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("console")
    (folder / "world.db").write_bytes(sqlite_template.read_bytes())
    settings = make_settings(
        f"sqlite:///{folder / 'world.db'}",
        redis_database(),
        folder,
        WEBHOOKS_RETRY_DELAYS="300,1800",
        WEBHOOKS_OPERATORS="acme@example.com",
        WEBHOOKS_SMTP_URL="smtp://127.0.0.1:9",
        WEBHOOKS_MAIL_FROM="hooks@example.com",
        WEBHOOKS_OIDC_ISSUER="https://login.example.com",
        WEBHOOKS_OIDC_CLIENT_ID="avra",
        WEBHOOKS_BASE_URL="http://localhost:8000",
        WEBHOOKS_OIDC_NAME="Example SSO",
    )
    app = patient_app(settings)
    with prepared(app) as world, served(app) as url, ExitStack() as tabs:
        emails = {
            "acme admin": world.acme.admin_email,
            "acme viewer": VIEWER_EMAIL,
            "empty admin": world.empty.admin_email,
            "quiet admin": world.quiet.admin_email,
        }
        sessions = {who: session_of(app, email) for who, email in emails.items()} | {"acme None": ""}
        site = Site(world, {}, [])
        for who, session in sessions.items():
            tab = opened(chromium, url, site.problems, session=session, reduced_motion="reduce")
            site.tabs[who] = tabs.enter_context(tab)
        # Only now, as a log-in asks for it from here on.
        with services(app).write.begin() as connection:
            of_quiet = User.email == world.quiet.admin_email
            connection.execute(update(User).where(of_quiet).values(second_factor_at=clock.now()))
        yield site
        db.session.remove()
        db.engine.dispose()


def test_every_view_has_a_page_here(console: Site) -> None:
    listed = {page.view for page in PAGES} | set(NOT_PAGES)
    for view, rule in views(console.world.app).items():
        assert view in listed, (
            f"Nothing looks at {rule}: add Page({view!r}) to PAGES in tests/browser/pages.py,"
            f" or {view!r} to NOT_PAGES there if it answers with no page."
        )


def test_no_page_is_listed_that_is_gone(console: Site) -> None:
    listed = {page.view for page in PAGES} | set(NOT_PAGES)
    assert listed <= set(views(console.world.app))
    assert len({page.name for page in PAGES}) == len(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_wrong_with(page: Page, console: Site) -> None:
    tab = console.tabs[f"{page.where} {page.who}"]
    console.problems.clear()
    tab.set_viewport_size(WIDE)
    tab.emulate_media(color_scheme="light")
    tab.evaluate(FORGET_FORMS)
    response = tab.goto(page.address(console.world))
    assert response and response.status == page.status
    if page.act:
        page.act(tab)
    tab.evaluate(AXE)
    problems = [*_look(tab, page.name), *console.problems]
    assert not problems, "\n".join(problems)


def _look(tab: Tab, name: str) -> Iterator[str]:
    """Where a theme changes colours only, the rules about colours are enough."""
    looks: tuple[tuple[Theme, ViewportSize, Sequence[str]], ...] = (
        ("light", WIDE, ALL_RULES),
        ("dark", WIDE, COLOR_RULES),
        ("dark", NARROW, []),
        ("light", NARROW, ALL_RULES),
    )
    for theme, size, rules in looks:
        tab.set_viewport_size(size)
        tab.emulate_media(color_scheme=theme)
        tab.evaluate(NEXT_FRAME)
        problems = list(_violations(tab, rules)) if rules else []
        if theme == "light":
            problems += [*tab.evaluate(CUT_OFF), *_scrolls(tab)]
            problems += tab.evaluate(TOO_SMALL) if size is NARROW else []
        yield from (f"{theme}, {size['width']} px: {problem}" for problem in problems)
        if KEEPS_SCREENSHOTS:
            tab.screenshot(path=SCREENSHOTS / f"{name}-{theme}-{size['width']}.png", full_page=True)
    tab.set_viewport_size(ZOOMED)
    yield from (f"zoomed to 400 %: {problem}" for problem in _scrolls(tab))


def _violations(tab: Tab, rules: Sequence[str]) -> Iterator[str]:
    found: list[dict[str, Any]] = tab.evaluate(RUN_AXE, rules)
    for violation in found:
        for node in violation["nodes"]:
            why = re.sub(r"\s+", " ", node["failureSummary"])
            yield f"{violation['id']}: {' '.join(map(str, node['target']))}: {why}"


def _scrolls(tab: Tab) -> list[str]:
    too_wide = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"the page is {too_wide} px too wide"] if too_wide > 0 else []
