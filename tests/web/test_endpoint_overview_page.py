"""The overview of an endpoint: health in words, charts, where its reasons lead."""

import html
import re

import pytest
from sqlalchemy import update

from tests.conftest import Workspace
from tests.web.conftest import Page
from tests.web.endpoints import (
    seed_failure,
    seed_rollup,
)
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    EndpointHealth,
)


def test_the_overview_tells_in_words_that_everything_fails(
    admin_page: Page, workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send()
    seed_failure(database, endpoint_id, "connect")

    text = " ".join(re.sub(r"<[^>]+>", "", admin_page.get(f"endpoints/{endpoint_id}").text).split())

    assert re.search(r"Failing since (\d+ \w+, )?\d\d:\d\d UTC", text)
    assert "No connection could be made. Check that the server runs" in text
    assert "1 not tried yet; the next now" in text


def test_a_failure_of_our_own_is_shown_without_a_streak(
    admin_page: Page, endpoint_id: str, database: WriteDatabase
) -> None:
    seed_failure(database, endpoint_id, "secret")
    with database.begin() as connection:
        connection.execute(update(EndpointHealth).values(failing_since=None))

    text = re.sub(r"<[^>]+>", "", admin_page.get(f"endpoints/{endpoint_id}").text)

    assert "Failing since" in text
    assert "The signing secret or a custom header could not be decrypted" in text
    assert "1 failing" in admin_page.get("").text


@pytest.mark.parametrize("period", ["24h", "7d", "30d", "nonsense"])
def test_the_overview_draws_each_period(
    admin_page: Page, endpoint_id: str, database: WriteDatabase, period: str
) -> None:
    seed_rollup(database, endpoint_id, "success", 8, 75)
    seed_rollup(database, endpoint_id, "timeout", 13, 25)

    text = admin_page.get(f"endpoints/{endpoint_id}?period={period}").text

    assert "75.0 %" in text
    assert "25 failed" in text
    assert "213 ms" in text  # 128 + 128 * 50 / 75
    assert "Timed out" in text
    assert "<table>" in text


@pytest.mark.parametrize(
    ("outcome", "response"), [("timeout", "timeout"), ("http_4xx", "4xx"), ("404", "404")]
)
def test_a_reason_leads_to_the_deliveries_that_ended_so(
    admin_page: Page, endpoint_id: str, database: WriteDatabase, outcome: str, response: str
) -> None:
    seed_rollup(database, endpoint_id, outcome, 8, 2)

    text = html.unescape(admin_page.get(f"endpoints/{endpoint_id}?period=7d").text)
    [url] = re.findall(rf'class="reason-link" href="([^"]*response={response}[^"]*)"', text)
    log = admin_page.client.get(url)

    assert url.endswith("range=7d")
    assert log.status_code == 200
    assert f'<option value="{response}" selected>' in " ".join(log.text.split())


def test_htmx_gets_the_health_alone(admin_page: Page, endpoint_id: str) -> None:
    text = admin_page.fragment(f"endpoints/{endpoint_id}?period=7d").text
    assert text.lstrip().startswith('<section id="health"')
