"""What an open page of the log asks for every few seconds."""

import html
import re

from sqlalchemy import update

from tests.conftest import Workspace
from tests.reading import captured
from tests.web.conftest import Page
from tests.web.endpoints import seed_failure
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import EndpointHealth
from webhooks_app.worker.engine import DeliveryEngine


def test_only_what_has_changed_comes_with_a_poll(
    failed: str, admin_page: Page, workspace: Workspace, engine: DeliveryEngine
) -> None:
    workspace.send(2)
    page = admin_page.get("deliveries/").text
    seen = re.findall(r'name="seen" value="([^"]+)"', page)
    poll = html.unescape(captured(r'id="poll"[^>]*hx-get="([^"]+)"', page))
    arguments = "".join(f"&seen={each}" for each in seen)
    assert len(seen) == 2  # those that can still change
    assert admin_page.fragment(poll + arguments + "&shown=0").status_code == 204

    engine.run(seconds=60)
    workspace.send(1)
    answer = admin_page.fragment(poll + arguments + "&shown=0").text
    assert re.findall(r'<hx-partial hx-target="#(dlv_\w+)" hx-swap="outerMorph">', answer) == [
        each.partition("~")[0] for each in seen
    ]
    assert "1 new delivery<" in answer
    assert failed not in answer
    workspace.send(30)
    assert "25+ new deliveries" in admin_page.fragment(poll + "&shown=1").text
    assert admin_page.fragment("deliveries/changes?newest=x").status_code == 400


def test_what_fails_shows_above_the_log_by_itself(
    admin_page: Page, stranger_page: Page, workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send()
    log = admin_page.get("deliveries/").text
    shown = captured(r'id="failing".*?name="shown" value="(\w+)"', log.replace("\n", " "))
    assert admin_page.get(f"deliveries/failing?shown={shown}").status_code == 204

    seed_failure(database, endpoint_id, "connect")
    with database.begin() as connection:
        connection.execute(update(EndpointHealth).values(failure_count=3))
    line = admin_page.get(f"deliveries/failing?shown={shown}").text
    assert "is failing since" in line
    assert "Connection failed" in line
    home = stranger_page.get("/").location or ""
    assert "is failing" not in stranger_page.get(f"{home}deliveries/failing").text
