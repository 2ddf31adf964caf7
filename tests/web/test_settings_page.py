"""The settings of a workspace."""

import pytest
from sqlalchemy import select

from tests.conftest import Workspace
from tests.web.accounts import fresh
from tests.web.conftest import Page
from webhooks_app.db.models import Workspace as WorkspaceRow


def test_settings_are_saved_and_used(admin_page: Page, home: str, workspace: Workspace) -> None:
    typed = {
        "name": "Acme EU",
        "retention": "90",
        "payloads": "14",
        "timeout": "9",
        "addresses": "ops@acme.example\n\nb@c.example",
    }
    answer = admin_page.post(f"{home}settings/", typed)
    page = admin_page.get(answer.location).text
    assert "Changes saved." in page
    row = fresh(select(WorkspaceRow)).one()
    assert (row.name, row.retention_days, row.default_timeout_ms) == ("Acme EU", 90, 9000)
    assert row.payload_days == 14
    assert row.notice_addresses == ["ops@acme.example", "b@c.example"]
    assert 'id="timeout" name="timeout" value="9"' in admin_page.get("endpoints/new").text
    log = " ".join(admin_page.get("deliveries/?range=1h").text.split())
    assert "Kept for 90 days, with payloads for 14." in log
    admin_page.post(f"{home}settings/", typed | {"payloads": ""})
    assert fresh(select(WorkspaceRow.payload_days)).one() is None
    assert "Kept for 90 days." in admin_page.get("deliveries/?range=1h").text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"retention": "0"}, "retention"),
        ({"retention": "366"}, "retention"),
        ({"payloads": "0"}, "payloads"),
        ({"payloads": "31"}, "payloads"),
        ({"timeout": "31"}, "timeout"),
        ({"addresses": "ops@acme.example\nnonsense"}, "addresses"),
        ({"addresses": "\n".join(f"a{n}@b.example" for n in range(21))}, "addresses"),
    ],
)
def test_bad_settings_are_refused_at_their_field_and_kept(
    admin_page: Page, home: str, wrong: dict[str, str], field: str
) -> None:
    typed = {"name": "Kept", "retention": "30", "timeout": "5", "addresses": ""}
    refused = admin_page.post(f"{home}settings/", typed | wrong)
    assert refused.status_code == 422
    assert f'id="{field}-error"' in refused.text
    assert fresh(select(WorkspaceRow.name)).one() == "Acme"
    [value] = wrong.values()
    assert value.split("\n")[-1] in refused.text


def test_what_was_typed_instead_of_a_number_is_shown_again(admin_page: Page, home: str) -> None:
    refused = admin_page.post(f"{home}settings/", {"name": "Acme", "retention": "30 days", "timeout": "5"})
    assert refused.status_code == 422
    assert (
        'type="text" id="retention" name="retention" value="30 days"' in refused.text
    )  # a number field drops it
    assert 'type="number" min="1" max="365" id="retention"' in admin_page.get(f"{home}settings/").text
