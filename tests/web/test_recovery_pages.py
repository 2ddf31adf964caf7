"""The pages of a recovery: chosen, counted, started, watched, stopped."""

import re

import pytest
from sqlalchemy import select, text

from tests.conftest import Workspace
from tests.deliveries.conftest import fail_all
from tests.reading import captured
from tests.web.conftest import Page
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Recovery, RecoveryState
from webhooks_app.deliveries import recovery_runs
from webhooks_app.extensions import db, services


@pytest.fixture
def endpoint_id(workspace: Workspace, database: WriteDatabase) -> str:
    found = workspace.endpoint("https://a.example.com/", name="<b>A</b>")
    workspace.send(12)
    fail_all(database)
    return found


def started() -> list[Recovery]:
    """All recoveries, newest first."""
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(select(Recovery).order_by(Recovery.id.desc())))


def newest() -> Recovery:
    return started()[0]


def test_the_count_comes_before_the_start(admin_page: Page, endpoint_id: str) -> None:
    page = admin_page.get("recoveries/new")
    assert "<b>12</b> deliveries" in page.text and "Replay 12<" in page.text
    assert started() == []
    fragment = admin_page.fragment(f"recoveries/new?status=failed&endpoint={endpoint_id}&range=all")
    assert fragment.text.lstrip().startswith('<section id="preview"')
    assert "<b>12</b>" in fragment.text
    assert "Nothing to recover" in admin_page.get("recoveries/new?status=canceled").text


def test_it_is_started_watched_and_done(
    admin_page: Page, viewer_page: Page, endpoint_id: str, databases: Databases, workspace: Workspace
) -> None:
    answer = admin_page.post("recoveries/", {"status": "failed", "endpoint": endpoint_id})
    recovery = newest()
    assert (answer.status_code, answer.location.endswith(recovery.id)) == (303, True)
    page = admin_page.get(answer.location).text
    assert "Running" in page
    assert "of 12" in page
    assert 'hx-trigger="every 1s"' in page
    assert "&lt;b&gt;A&lt;/b&gt;" in page

    recovery_runs.run_all(databases, services(workspace.app).wake_ups)
    part = admin_page.fragment(f"recoveries/{recovery.id}").text
    assert "<html" not in part
    assert "12 replayed" in part
    assert 'hx-trigger="every 5s"' in part  # they wait for their attempts
    for reader in (admin_page, viewer_page):
        assert recovery.id in reader.get("recoveries/").text
    assert "Recover deliveries" not in viewer_page.get("recoveries/").text
    assert viewer_page.get("recoveries/new").status_code == 403


def test_it_is_stopped_once(admin_page: Page, endpoint_id: str) -> None:
    admin_page.post("recoveries/", {"status": "failed"})
    url = f"recoveries/{newest().id}/cancel"
    assert "Recovery stopped" in admin_page.get(admin_page.post(url).location).text
    assert newest().state is RecoveryState.CANCELED
    assert "had ended already" in admin_page.get(admin_page.post(url).location).text


@pytest.mark.parametrize(
    "wrong", [{"status": "held"}, {"status": "x"}, {"q": "dlv_1"}, {"range": "custom", "from": "x"}]
)
def test_what_cannot_be_recovered_is_refused_with_a_word(
    admin_page: Page, endpoint_id: str, wrong: dict[str, str]
) -> None:
    query = "&".join(f"{name}={value}" for name, value in wrong.items())
    for answer in (admin_page.get(f"recoveries/new?{query}"), admin_page.post("recoveries/", wrong)):
        assert answer.status_code == 422
        assert "This choice cannot be used." in answer.text
    assert started() == []


def test_another_workspaces_endpoint_is_not_there(
    stranger_page: Page, endpoint_id: str, admin_page: Page
) -> None:
    home = stranger_page.get("/").location
    assert stranger_page.get(f"{home}recoveries/new?endpoint={endpoint_id}").status_code == 404
    assert stranger_page.post(f"{home}recoveries/", {"endpoint": endpoint_id}).status_code == 404
    assert started() == []


def test_nothing_left_to_recover_is_said(admin_page: Page, endpoint_id: str, database: WriteDatabase) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE deliveries SET state = 'delivered'"))
    answer = admin_page.post("recoveries/", {"status": "failed"})
    assert "No delivery matches any more" in admin_page.get(answer.location).text


def test_the_log_offers_what_can_be_done_with_what_its_filter_shows(
    admin_page: Page, viewer_page: Page, endpoint_id: str, workspace: Workspace
) -> None:
    offered = offers(admin_page, f"deliveries/?status=failed&endpoint={endpoint_id}&range=24h")
    assert list(offered) == ["replay"]
    assert "<b>12</b>" in admin_page.get(offered["replay"]).text
    workspace.send(3)
    offered = offers(admin_page, f"deliveries/?endpoint={endpoint_id}")
    assert list(offered) == ["replay", "send", "cancel"]
    assert "<b>3</b> deliveries" in admin_page.get(offered["cancel"]).text
    assert "have arrived are among them" in admin_page.get(offered["replay"]).text
    assert list(offers(admin_page, "deliveries/?status=pending")) == ["send", "cancel"]
    for query in ("", "?status=sending", "?status=held"):
        assert offers(admin_page, f"deliveries/{query}") == {}
    assert offers(viewer_page, "deliveries/?status=failed") == {}


def offers(reader: Page, path: str) -> dict[str, str]:
    """The links of the log to what can be done with everything, by action."""
    found = re.findall(r'href="([^"]*recoveries/new[^"]*)"', reader.get(path).text)
    links = [each.replace("&amp;", "&") for each in found]
    return {captured(r"action=(\w+)", each): each for each in links}


def test_everything_that_waits_is_canceled_at_once(
    admin_page: Page, endpoint_id: str, workspace: Workspace, databases: Databases
) -> None:
    workspace.send(4)
    admin_page.post("recoveries/", {"action": "cancel", "status": ""})
    recovery_runs.run_all(databases, services(workspace.app).wake_ups)
    page = admin_page.get(f"recoveries/{newest().id}").text
    assert "4 of 4 canceled" in page
    assert "hx-trigger" not in captured(r'<div id="recovery"([^>]*)>', page)
    assert admin_page.get(f"deliveries/?recovery={newest().id}").text.count("<tbody id=") == 4


@pytest.mark.parametrize("wrong", [{"rate": "x"}, {"rate": "0"}, {"rate": "9" * 30}, {"action": "explode"}])
def test_a_bad_rate_or_action_starts_nothing(
    admin_page: Page, endpoint_id: str, wrong: dict[str, str]
) -> None:
    answer = admin_page.post("recoveries/", {"status": "failed"} | wrong)
    assert answer.status_code == 422
    assert started() == []


def test_a_second_press_leads_to_what_the_first_started(admin_page: Page, endpoint_id: str) -> None:
    pressed = {"status": "failed", "endpoint": endpoint_id, "rate": "5"}
    first, second = (admin_page.post("recoveries/", pressed) for _ in range(2))
    assert first.location == second.location
    assert (len(started()), newest().rate_per_second) == (1, 5)
    assert "is running already" in admin_page.get(second.location).text


def test_what_became_of_its_deliveries_is_shown_and_linked(
    admin_page: Page, endpoint_id: str, workspace: Workspace, databases: Databases, database: WriteDatabase
) -> None:
    admin_page.post("recoveries/", {"status": "failed"})
    recovery_runs.run_all(databases, services(workspace.app).wake_ups)
    fail_all(database)
    page = admin_page.get(f"recoveries/{newest().id}").text
    link = captured(r'href="([^"]*recovery=[^"]*status=failed)"', page).replace("&amp;", "&")
    assert ">12<" in page
    log = admin_page.get(link).text
    assert log.count("<tbody id=") == 12
    assert "one recovery" in log


def test_an_endpoint_offers_to_send_what_it_waits_for(
    admin_page: Page, endpoint_id: str, workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.send(3)
    with database.begin() as connection:
        connection.execute(
            text("UPDATE deliveries SET last_outcome = 'http_4xx', last_status = 404 WHERE state = 'pending'")
        )
    moved = admin_page.get(f"endpoints/{endpoint_id}/settings?moved=1").text
    assert "Send all 3 now" in moved
    assert "Send all" not in admin_page.get(f"endpoints/{endpoint_id}/settings").text
    admin_page.post("recoveries/", {"action": "send", "status": "retrying", "endpoint": endpoint_id})
    assert (newest().total, newest().action) == (3, "send")
