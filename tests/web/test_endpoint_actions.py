"""An endpoint out of use and back: disabled, enabled, deleted."""

import pytest

from tests.conftest import Workspace
from tests.web.conftest import Page
from tests.web.endpoints import URL, audited_actions, error_at, load, states
from webhooks_app.db.models import (
    DeliveryState,
)


def test_disabling_holds_what_is_pending(admin_page: Page, workspace: Workspace, endpoint_id: str) -> None:
    workspace.send(3)

    response = admin_page.post(f"endpoints/{endpoint_id}/disable")

    assert response.status_code == 303
    text = admin_page.get(response.location).text
    assert "Disabled by acme@example.com." in text
    assert "3 deliveries are" in text
    assert states() == [DeliveryState.HELD] * 3


@pytest.mark.parametrize(
    ("choice", "state", "words"),
    [
        ("send", DeliveryState.PENDING, "3 held deliveries are on their way"),
        ("discard", DeliveryState.CANCELED, "3 held deliveries were discarded"),
    ],
)
def test_enabling_sends_or_discards_what_was_held(
    admin_page: Page, workspace: Workspace, endpoint_id: str, choice: str, state: DeliveryState, words: str
) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    workspace.send(3)
    assert "3 deliveries were held" in admin_page.get(f"endpoints/{endpoint_id}/settings").text

    response = admin_page.post(f"endpoints/{endpoint_id}/enable", {"held": choice})

    assert response.status_code == 303
    assert words in admin_page.get(response.location).text
    assert load(endpoint_id).is_enabled
    assert states() == [state] * 3


@pytest.mark.parametrize("choice", [{}, {"held": "keep"}])
def test_held_deliveries_ask_for_a_choice(
    admin_page: Page, workspace: Workspace, endpoint_id: str, choice: dict[str, str]
) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    workspace.send()

    response = admin_page.post(f"endpoints/{endpoint_id}/enable", choice)

    assert response.status_code == 422
    assert "Choose what happens" in error_at(response.text, "held")
    assert f'value="{URL}"' in response.text  # the settings above are as they were
    assert not load(endpoint_id).is_enabled


def test_enabling_without_held_deliveries_asks_nothing(admin_page: Page, endpoint_id: str) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    assert admin_page.post(f"endpoints/{endpoint_id}/enable").status_code == 303
    assert load(endpoint_id).is_enabled


def test_an_enabled_endpoint_is_not_enabled_again(admin_page: Page, endpoint_id: str) -> None:
    assert admin_page.post(f"endpoints/{endpoint_id}/enable").status_code == 303
    assert "endpoint.enable" not in audited_actions()


def test_deleting_needs_the_name(admin_page: Page, endpoint_id: str) -> None:
    response = admin_page.post(f"endpoints/{endpoint_id}/delete", {"confirmation": "orders"})

    assert response.status_code == 422
    assert "Type the name" in error_at(response.text, "confirmation")
    assert 'value="orders"' in response.text
    assert load(endpoint_id).deleted_at is None


def test_deleting_cancels_what_waits(admin_page: Page, workspace: Workspace, endpoint_id: str) -> None:
    workspace.send(2)

    response = admin_page.post(f"endpoints/{endpoint_id}/delete", {"confirmation": " Orders "})

    assert response.status_code == 303
    assert "“Orders” deleted" in admin_page.get(response.location).text
    assert load(endpoint_id).deleted_at is not None
    assert states() == [DeliveryState.CANCELED] * 2


def test_the_overview_enables_and_sends_what_is_held_in_one_press(
    admin_page: Page, viewer_page: Page, workspace: Workspace, endpoint_id: str
) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    assert "Enable and send" not in admin_page.get(f"endpoints/{endpoint_id}").text
    workspace.send(2)
    assert "Enable and send 2 held" in admin_page.get(f"endpoints/{endpoint_id}").text
    assert f"{endpoint_id}/enable" not in viewer_page.get(f"endpoints/{endpoint_id}").text


def test_what_a_file_manages_is_marked_until_it_is_let_go_of(admin_page: Page, workspace: Workspace) -> None:
    endpoint_id = workspace.endpoint(URL, managed_by="endpoints.yaml <b>")
    pages = ("", f"endpoints/{endpoint_id}", f"endpoints/{endpoint_id}/settings")
    for page in pages:
        text = admin_page.get(page).text
        assert "anaged by" in text and "endpoints.yaml &lt;b&gt;" in text

    response = admin_page.post(f"endpoints/{endpoint_id}/release")

    assert response.status_code == 303
    assert "no longer manages this endpoint" in admin_page.get(response.location).text
    assert load(endpoint_id).managed_by is None
    for page in pages:
        assert "endpoints.yaml" not in admin_page.get(page).text
    assert (
        "Nothing manages" in admin_page.get(admin_page.post(f"endpoints/{endpoint_id}/release").location).text
    )


def test_saving_the_form_leaves_the_management(admin_page: Page, workspace: Workspace) -> None:
    endpoint_id = workspace.endpoint(URL, managed_by="endpoints.yaml")
    typed = {"url": URL, "name": "Orders", "scope": "all", "timeout": "9"}
    assert admin_page.post(f"endpoints/{endpoint_id}/settings", typed).status_code == 303
    assert (load(endpoint_id).managed_by, load(endpoint_id).timeout_ms) == ("endpoints.yaml", 9000)
