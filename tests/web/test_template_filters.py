"""Filters of templates: moments as scripts of the page read them."""

import re

from tests.conftest import Workspace
from tests.web.conftest import Page
from webhooks_app.web.template_filters import with_times

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_each_moment_on_a_page_is_spelt_for_scripts_as_for_all_machines(
    admin_page: Page, workspace: Workspace
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    moments = re.findall(r' datetime="([^"]*)"', admin_page.get("deliveries/").text)
    assert moments
    assert [each for each in moments if not RFC3339.fullmatch(each)] == []


def test_moments_in_a_sentence_are_marked_for_scripts() -> None:
    marked = with_times("failed since 2026-01-02 14:02 UTC & later")
    time = '<time datetime="2026-01-02T14:02:00.000Z" data-minute>2026-01-02 14:02 UTC</time>'
    assert str(marked) == f"failed since {time} &amp; later"
