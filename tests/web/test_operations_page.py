"""The operators' page: who sees it, and that it says what is wrong, since when, and where."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import insert, update

from tests.conftest import Workspace
from tests.web.conftest import Page
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import BacklogSample, ProcessReport
from webhooks_app.extensions import services
from webhooks_app.monitoring import backlog, own_report

MINUTE = timedelta(minutes=1)


@pytest.fixture
def operator(app: Flask, workspace: Workspace, make_page: Callable[[str | None], Page]) -> Page:
    found = services(app)
    found.settings = replace(found.settings, operators=frozenset({workspace.admin_email}))
    return make_page(workspace.admin_email)


@pytest.fixture
def address(workspace: Workspace) -> str:
    return f"/w/{workspace.id}/operations/"


def report(
    database: WriteDatabase, kind: str, *, ago: timedelta = timedelta(seconds=2), **state: object
) -> own_report.Identity:
    identity = own_report.identify(kind)
    own_report.write(database, identity, state=state, counted={}, is_first=True)
    with database.begin() as connection:
        own = update(ProcessReport).where(ProcessReport.id == identity.id)
        connection.execute(own.values(reported_at=clock.now() - ago))
    return identity


def test_an_admin_who_is_no_operator_neither_sees_it_nor_hears_of_it(
    workspace: Workspace, make_page: Callable[[str | None], Page], address: str
) -> None:
    page = make_page(workspace.admin_email)
    assert page.get(address).status_code == 404
    assert "/operations/" not in page.get("").text


def test_somebody_who_is_not_logged_in_is_asked_to(
    address: str, make_page: Callable[[str | None], Page]
) -> None:
    assert make_page(None).get(address).status_code == 302


def test_a_platform_that_works_says_so_in_one_sentence(
    operator: Page, database: WriteDatabase, address: str
) -> None:
    for kind in own_report.KINDS:
        report(database, kind, idle_seconds=0.2)

    page = operator.get(address)

    assert page.status_code == 200
    assert "Everything works." in page.text
    assert 'href="/w/' in page.text and "/operations/" in operator.get("").text


def test_a_dead_worker_is_named_with_since_when(
    operator: Page, database: WriteDatabase, address: str
) -> None:
    services().started_at = clock.now() - 60 * MINUTE
    gone = report(database, own_report.WORKER, ago=3 * MINUTE)
    report(database, own_report.SCHEDULER, idle_seconds=0.2)

    text = operator.get(address).text

    assert "No worker is running" in text
    assert "Start <code>avra worker</code>." in text
    assert "For <time" in text
    assert f"{gone.host}:{gone.pid}" in text
    assert "no_worker" in text
    assert "Silent" in text


def test_what_waits_where_and_how_it_grows_is_shown(
    operator: Page, database: WriteDatabase, workspace: Workspace, address: str
) -> None:
    slow = workspace.endpoint("http://127.0.0.1:9/slow", name="Slow <one>")
    report(database, own_report.WORKER, in_flight=300, capacity=400, endpoints=[[slow, 256, 256]])
    report(database, own_report.SCHEDULER, idle_seconds=0.2)
    rows = [
        {
            **dict.fromkeys(("pending", "due"), 5000 - 100 * minutes),
            **dict.fromkeys(("held", "duration_ms"), 3),
            "at": clock.now() - minutes * MINUTE,
            "oldest_due_at": clock.now() - 90 * MINUTE,
            "endpoints": [[slow, 4000]],
        }
        for minutes in range(12)
    ]
    with database.begin() as connection:
        connection.execute(insert(BacklogSample), rows)

    text = operator.get(address).text

    assert "5,000 deliveries are due, and 100 more each minute." in text
    assert "One endpoint takes 64% of what workers can send at once" in text
    assert "It is Slow &lt;one&gt; of Acme." in text
    assert "100 more each minute" in text
    assert "300 of 400" in text
    assert '<path class="line" d="M' in text


def test_it_is_asked_for_anew_as_a_part_of_the_page(operator: Page, address: str) -> None:
    answer = operator.fragment(address)
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<div id="operations"')
    assert "hx-trigger" in answer.text


def test_before_anything_was_counted_or_reported_it_says_so(operator: Page, address: str) -> None:
    text = operator.get(address).text
    assert "It has not been counted yet." in text
    assert "None has reported yet." in text


def test_a_counted_backlog_of_nothing_is_shown(operator: Page, address: str) -> None:
    assert backlog.sample_if_due(services().databases)
    assert "growth not known yet" in operator.get(address).text
