"""The payload of a delivery's event is erased from its page: who may, what is said, what is left."""

import html
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.conftest import Workspace
from tests.deliveries.test_payload_retention import upgrading
from tests.web.conftest import Page
from tests.web.deliveries import state
from webhooks_app.core import clock, ids
from webhooks_app.db.models import AuditEntry, Event
from webhooks_app.extensions import db, services


def has_body() -> bool:
    db.session.rollback()
    return bool(db.session.scalars(select(Event.body)).one())


def said(page: Page, delivery_id: str, **data: str) -> str:
    """What the page says that the form leads to."""
    answer = page.post(f"deliveries/{delivery_id}/erase", data)
    assert answer.status_code == 303
    return " ".join(html.unescape(page.get(answer.location).text).split())


def test_it_is_erased_and_the_page_and_the_audit_log_say_so(
    failed: str, admin_page: Page, workspace: Workspace
) -> None:
    page = admin_page.get(f"deliveries/{failed}").text
    assert "Erase payload for good" in page
    assert 'name="cancel"' not in page  # nothing is left to cancel

    text = said(admin_page, failed)
    assert "The payload is erased, with what 1 attempt sent and got." in text
    assert "Payload erased on" in text
    assert "Erase payload for good" not in text
    assert not has_body()
    [actor] = db.session.scalars(select(AuditEntry.actor).where(AuditEntry.action == "event.erase"))
    assert actor == workspace.admin_email


def test_what_is_still_to_be_sent_is_refused_or_canceled(waiting: str, admin_page: Page) -> None:
    assert 'name="cancel"' in admin_page.get(f"deliveries/{waiting}").text
    refused = said(admin_page, waiting)
    assert "1 delivery is still to be sent of this event. Wait for that, or have it canceled." in refused
    assert (has_body(), state(waiting)) == (True, "pending")

    assert "1 delivery canceled." in said(admin_page, waiting, cancel="y")
    assert (has_body(), state(waiting)) == (False, "canceled")


def test_viewers_are_not_offered_it(failed: str, viewer_page: Page) -> None:
    assert "Erase payload" not in viewer_page.get(f"deliveries/{failed}").text


@pytest.mark.parametrize("delivery_id", ["dlv_x", ids.new("dlv")], ids=["no id", "nobody's"])
def test_there_is_nothing_to_erase_of_what_is_not_there(
    delivery_id: str, workspace: Workspace, admin_page: Page
) -> None:
    workspace.send()
    assert admin_page.post(f"deliveries/{delivery_id}/erase").status_code == 404
    assert has_body()


def test_a_repeat_says_that_it_is_one(failed: str, admin_page: Page) -> None:
    said(admin_page, failed)
    assert "The payload was erased before." in said(admin_page, failed)


def test_nothing_is_erased_during_an_upgrade(failed: str, admin_page: Page) -> None:
    upgrading(services().write, until=clock.now() + timedelta(hours=1))
    assert "Nothing is erased before" in said(admin_page, failed)
    assert has_body()
