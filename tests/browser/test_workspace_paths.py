"""The paths around the deliveries: tokens, people, settings, shortcuts, exports."""

import csv
import re
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Page, TimeoutError, expect

from tests.browser.conftest import OpenPage
from tests.browser.steps import expect_powered, rows, toast, with_javascript
from tests.conftest import PASSWORD, Workspace

NEW_PASSWORD = "staple battery horse"


def test_a_token_is_created_copied_and_revoked_after_a_second_press(page: Page, workspace: Workspace) -> None:
    page.goto(f"/w/{workspace.id}/tokens/")
    page.click("text=Create token")
    expect(page.locator("#name")).to_have_attribute("aria-invalid", "true")
    page.fill("#name", "Billing")
    page.click("text=Create token")
    expect(page.locator("#token")).to_contain_text("tok_")
    token = page.locator("#token").inner_text()
    page.goto(f"/w/{workspace.id}/tokens/")
    expect(page.locator("body")).not_to_contain_text(token)
    row = page.locator("tr", has_text="Billing")
    revoke = row.get_by_text("Revoke token")
    expect(revoke).not_to_be_visible()
    row.locator(".confirm summary").click()
    revoke.click()
    expect(toast(page)).to_contain_text("“Billing” revoked")
    page.get_by_text("1 revoked or expired", exact=True).click()
    expect(page.locator("tr", has_text="Billing")).to_contain_text("Revoked")


def test_somebody_is_invited_joins_and_is_made_an_admin(open_page: OpenPage, workspace: Workspace) -> None:
    admin, newcomer = open_page(workspace.admin_email), open_page(None)
    members_url = f"/w/{workspace.id}/members/"
    admin.goto(members_url)
    admin.fill("#email", "grace@example.com")
    admin.click("text=Create invitation")
    link = admin.locator("#link").inner_text()

    newcomer.goto("/" + link.split("/", 3)[3])
    newcomer.fill("#name", "Grace Hopper")
    newcomer.fill("#password", NEW_PASSWORD)
    newcomer.click("text=Create account and join")
    newcomer.wait_for_url("**/alerts/webhooks/")
    expect(newcomer.locator(".account")).to_contain_text("Viewer")

    admin.goto(members_url)
    row = admin.locator("tr", has_text="Grace Hopper")
    row.get_by_role("combobox").select_option("admin")
    row.get_by_text("Save").click()
    expect(toast(admin)).to_contain_text("Grace Hopper is an admin now.")
    newcomer.reload()
    expect(newcomer.locator(".account")).to_contain_text("Admin")

    admin.goto(f"/w/{workspace.id}/audit/?q=grace@example.com")
    expect(admin.locator("#entries")).to_contain_text("added a member")


def test_a_second_workspace_is_made_and_switched_to(page: Page) -> None:
    page.goto("./")
    page.click(".switcher summary")
    page.click("text=New workspace")
    page.fill("#name", "Staging")
    page.click("text=Create workspace")
    expect(page.locator(".workspace b")).to_have_text("Staging")
    expect(page.locator("main h2")).to_have_text("No endpoint yet")
    page.click(".switcher summary")
    page.click(".switcher >> text=Acme")
    expect(page.locator(".workspace b")).to_have_text("Acme")


def test_settings_with_a_mistake_keep_what_was_typed(page: Page, workspace: Workspace) -> None:
    page.goto(f"/w/{workspace.id}/settings/")
    page.fill("#retention", "400")
    page.fill("#addresses", "ops@example.com\nb@example.com")
    page.click("text=Save changes")
    expect(page.locator("#retention")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#addresses")).to_have_value("ops@example.com\nb@example.com")
    page.fill("#retention", "90")
    page.click("text=Save changes")
    expect(toast(page)).to_contain_text("Changes saved.")
    expect(page.locator("#retention")).to_have_value("90")


def test_a_password_is_changed_and_other_browsers_are_logged_out(
    open_page: OpenPage, workspace: Workspace
) -> None:
    page, other = open_page(workspace.admin_email), open_page(workspace.admin_email)
    page.goto(f"/w/{workspace.id}/profile/")
    page.fill("#current", PASSWORD)
    page.fill("#new", NEW_PASSWORD)
    page.click("text=Change password")
    expect(toast(page)).to_contain_text("Password changed.")
    other.goto("deliveries/")
    expect(other).to_have_url(re.compile("/login"))
    page.goto("deliveries/")
    expect(page.get_by_role("heading", name="Deliveries", exact=True)).to_be_visible()


def test_a_filtered_log_is_downloaded(page: Page, workspace: Workspace, tmp_path: Path) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(30)
    page.goto("deliveries/?status=pending")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV", exact=True).click()
    download.value.save_as(tmp_path / "log.csv")
    with open(tmp_path / "log.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == 30
    assert {row["status"] for row in found} == {"pending"}


@with_javascript
def test_keys_lead_everywhere_and_can_be_turned_off(page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(3)
    page.goto("./")
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).not_to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("gd?n")  # what is typed is text
    expect(page.locator("#q")).to_have_value("gd?n")
    page.locator("#main").focus()
    for _ in range(5):  # where more than a second passes in between, they are two keys
        page.keyboard.press("g")
        page.keyboard.press("d")
        with suppress(TimeoutError):
            page.wait_for_url("**/deliveries/", timeout=12_000)
            break
    page.wait_for_url("**/deliveries/")
    expect_powered(rows(page).first.locator(".expander"))

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    first = rows(page).first
    expect(first.locator(".row-preview")).to_be_visible()
    expect(first.locator(".expander")).to_be_focused()  # kept through the swap
    page.keyboard.press("x")
    expect(first.locator(".c-pick input")).to_be_checked()
    expect(first.locator(".expander")).to_be_focused()
    page.keyboard.press("r")
    expect(toast(page)).to_contain_text("An attempt starts now")

    page.keyboard.press("?")
    page.get_by_label("Shortcuts of single keys are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(sheet).not_to_be_visible()
    page.click("[data-keys]")
    expect(page.get_by_label("Shortcuts of single keys are on")).not_to_be_checked()
