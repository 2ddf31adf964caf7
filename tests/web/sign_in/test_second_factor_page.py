"""Two-factor authentication on the pages: set up, asked for at each log-in, demanded where it is missing."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.conftest import PASSWORD, Workspace
from tests.reading import captured
from tests.web.accounts import NEW_PASSWORD, actions, fresh
from tests.web.conftest import FRAGMENT_HEADERS, Page
from webhooks_app.accounts import password_resets, second_factors, totp
from webhooks_app.core import clock
from webhooks_app.db.models import TotpSecret, User, UserSession
from webhooks_app.db.models import Workspace as WorkspaceRow
from webhooks_app.extensions import services
from webhooks_app.web.sign_in import log_ins, second_factor_page, second_factor_setup_page

SECOND = "/login/second-factor"


class Phone:
    """An authenticator app. Each code that it shows is of another step, as nobody waits 30 seconds here."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def code(self) -> str:
        with services().write.begin() as connection:
            connection.execute(update(TotpSecret).values(last_step=None))
        return totp.code_of(self.secret, totp.step_at(clock.now()))


def turn_on(page: Page, home: str) -> tuple[Phone, list[str]]:
    """Set it up in that browser; return the phone and the recovery codes."""
    page.post(f"{home}profile/two-factor/begin", {"current": PASSWORD})
    shown = page.get(f"{home}profile/two-factor").text
    phone = Phone(captured(r'id="totp-key">([^<]+)<', shown).replace(" ", ""))
    done = page.post(f"{home}profile/two-factor/confirm", {"code": phone.code()})
    codes = captured(r'class="recovery-codes">([^<]+)<', done.text).split()
    assert len(codes) == 10
    return phone, codes


def log_in(page: Page, email: str, password: str = PASSWORD, *, target: str = "") -> str:
    """Give the password; return where that leads."""
    address = f"/login?next={target}" if target else "/login"
    return page.post(address, {"email": email, "password": password}).location


def test_it_is_set_up_with_a_code_and_then_asked_for(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    other = make_page(workspace.admin_email)
    phone, codes = turn_on(admin_page, home)
    assert other.get(f"{home}profile/").status_code == 302
    assert admin_page.get(f"{home}profile/").status_code == 200

    page = make_page(None)
    assert log_in(page, workspace.admin_email, target=f"{home}tokens/") == f"{SECOND}?next={home}tokens/"
    assert page.get(f"{home}tokens/").status_code == 302
    refused = page.post(SECOND, {"code": "000000"})
    assert (refused.status_code, second_factor_page.REFUSAL in refused.text) == (422, True)
    code = phone.code()
    done = page.post(f"{SECOND}?next={home}tokens/", {"code": f"{code[:3]} {code[3:]}"})
    assert done.location == f"{home}tokens/"
    assert page.get(done.location).status_code == 200

    again = make_page(None)
    log_in(again, workspace.admin_email)
    assert again.post(SECOND, {"code": code}).status_code == 422  # replayed
    assert again.post(SECOND, {"code": codes[0]}).location == "/"
    assert "9 of 10 left" in again.get(f"{home}profile/two-factor").text
    assert {"second_factor.on", "second_factor.refuse", "second_factor.recover"} <= set(actions())


def test_a_key_is_shown_for_a_quarter_of_an_hour(admin_page: Page, home: str) -> None:
    admin_page.post(f"{home}profile/two-factor/begin", {"current": PASSWORD})
    address = f"{home}profile/two-factor"
    phone = Phone(captured(r'id="totp-key">([^<]+)<', admin_page.get(address).text).replace(" ", ""))
    with services().write.begin() as connection:
        connection.execute(update(TotpSecret).values(created_at=clock.now() - second_factors.SETUP_LIFE))
    assert "totp-key" not in admin_page.get(address).text
    late = admin_page.post(f"{address}/confirm", {"code": phone.code()})
    assert late.status_code == 303
    assert second_factor_setup_page.LATE in admin_page.get(late.location).text


@pytest.mark.parametrize("path", ["begin", "codes", "off"])
def test_each_change_asks_for_the_password(admin_page: Page, home: str, path: str) -> None:
    if path != "begin":
        turn_on(admin_page, home)
    for password in ("", "wrong"):
        refused = admin_page.post(f"{home}profile/two-factor/{path}", {"current": password})
        assert (refused.status_code, 'id="current-error"' in refused.text) == (422, True)


def test_it_is_turned_off(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    turn_on(admin_page, home)
    admin_page.post(f"{home}profile/two-factor/off", {"current": PASSWORD})
    assert log_in(make_page(None), workspace.admin_email) == "/"


def test_new_recovery_codes_are_shown_once(admin_page: Page, home: str) -> None:
    _, before = turn_on(admin_page, home)
    shown = admin_page.post(f"{home}profile/two-factor/codes", {"current": PASSWORD})
    after = captured(r'class="recovery-codes">([^<]+)<', shown.text).split()
    assert shown.headers["Cache-Control"] == "no-store"
    assert not set(before) & set(after)
    assert not [code for code in after if code in admin_page.get(f"{home}profile/two-factor").text]


def test_the_first_factor_alone_opens_nothing(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace, app: Flask
) -> None:
    turn_on(admin_page, home)
    page = make_page(None)
    log_in(page, workspace.admin_email)
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/w/<workspace_id>") and not rule.arguments - {"workspace_id"}:
            path = rule.rule.replace("<workspace_id>", workspace.id)
            if "GET" in (rule.methods or ()):
                assert page.get(path).location.startswith("/login"), path
                assert page.get(path, headers=FRAGMENT_HEADERS).status_code == 401, path
            else:
                assert page.post(path).location.startswith("/login"), path
    assert page.get("/").location == "/login"
    assert page.get("/workspaces/new").location.startswith("/login")
    live = fresh(select(UserSession).where(UserSession.ended_at.is_(None))).all()
    assert len(live) == 1  # that of whoever set it up


def test_the_second_step_waits_for_nobody_else_and_not_for_long(
    admin_page: Page,
    anonymous_page: Page,
    make_page: Callable[[str | None], Page],
    home: str,
    workspace: Workspace,
) -> None:
    phone, _ = turn_on(admin_page, home)
    assert anonymous_page.get(SECOND).location == "/login"
    assert anonymous_page.post(SECOND, {"code": phone.code()}).location == "/login"

    late = make_page(None)
    log_in(late, workspace.admin_email)
    with late.client.session_transaction() as cookie:
        cookie["second_factor"] |= {"since": cookie["second_factor"]["since"] - log_ins.WAIT_SECONDS - 1}
    assert late.post(SECOND, {"code": phone.code()}).location == "/login"

    overtaken = make_page(None)
    log_in(overtaken, workspace.admin_email)
    admin_page.post(f"{home}profile/password", {"current": PASSWORD, "new": NEW_PASSWORD})
    assert overtaken.post(SECOND, {"code": phone.code()}).location == "/login"


def test_codes_can_be_guessed_at_a_few_times_only(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    phone, codes = turn_on(admin_page, home)
    statuses = []
    for _ in range(2):
        page = make_page(None)  # another browser, and the password again, give no more tries
        log_in(page, workspace.admin_email)
        statuses += [page.post(SECOND, {"code": "000000"}).status_code for _ in range(3)]
    assert statuses == [422] * second_factor_page.LIMITS.per_account + [429]
    assert page.post(SECOND, {"code": phone.code()}).status_code == 429
    assert page.post(SECOND, {"code": codes[0]}).status_code == 429


def test_browsers_known_from_before_it_was_on_have_no_tries_of_their_own(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    gathered = [make_page(workspace.admin_email) for _ in range(3)]
    turn_on(admin_page, home)
    statuses = []
    for page in gathered:
        log_in(page, workspace.admin_email)
        statuses += [page.post(SECOND, {"code": "000000"}).status_code for _ in range(2)]
    assert statuses == [422] * second_factor_page.LIMITS.per_account + [429]


def test_the_browser_that_turned_it_on_stays_known(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    phone, _ = turn_on(admin_page, home)
    stranger = make_page(None)
    log_in(stranger, workspace.admin_email)
    [user_id] = fresh(select(User.id).where(User.email == workspace.admin_email))
    assert stranger.client.get_cookie(f"device-{user_id}") is None  # the password alone makes no known one
    for _ in range(second_factor_page.LIMITS.per_account + 1):
        last = stranger.post(SECOND, {"code": "000000"}).status_code
    assert last == 429
    admin_page.post("/logout")
    log_in(admin_page, workspace.admin_email)
    assert admin_page.post(SECOND, {"code": phone.code()}).status_code == 303


def test_wrong_passwords_leave_the_tries_of_a_code(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    phone, _ = turn_on(admin_page, home)
    known = make_page(None)
    log_in(known, workspace.admin_email)
    known.post(SECOND, {"code": phone.code()})
    known.post("/logout")
    for _ in range(second_factor_page.LIMITS.per_device + 1):
        assert known.post("/login", {"email": workspace.admin_email, "password": "x"}).status_code == 422
    log_in(known, workspace.admin_email)
    assert known.post(SECOND, {"code": phone.code()}).status_code == 303


def test_a_new_password_by_a_link_does_not_turn_it_off(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    turn_on(admin_page, home)
    [user] = fresh(select(User).where(User.email == workspace.admin_email))
    token = password_resets.new_token(user, services().settings.secret_key)
    page = make_page(None)
    page.post(f"/password-reset/{token}", {"password": NEW_PASSWORD})
    assert log_in(page, workspace.admin_email, NEW_PASSWORD) == SECOND


def demand(value: bool = True) -> None:
    with services().write.begin() as connection:
        connection.execute(update(WorkspaceRow).values(requires_second_factor=value))


def test_where_it_is_demanded_nothing_else_opens(
    admin_page: Page, viewer_page: Page, home: str, base: str, workspace: Workspace
) -> None:
    fields = {"name": "Acme", "retention": "30", "timeout": "5", "addresses": "", "second_factor": "y"}
    admin_page.post(f"{home}settings/", fields)
    for page in (admin_page, viewer_page):
        answer = page.get(base)
        assert (answer.status_code, answer.location) == (303, f"{home}profile/two-factor")
        fragment = page.get(base, headers=FRAGMENT_HEADERS)
        assert (fragment.status_code, fragment.headers["HX-Redirect"]) == (403, f"{home}profile/two-factor")
        assert "Acme demands two-factor authentication." in page.get(f"{home}profile/two-factor").text
    assert admin_page.post(f"{home}tokens/", {"name": "x"}).status_code == 303
    assert actions()[-1] == "workspace.change"

    turn_on(viewer_page, home)
    assert viewer_page.get(base).status_code == 200
    turn_on(admin_page, home)
    assert admin_page.get(f"{home}members/").text.count(">two-factor</span>") == 2
    assert ">two-factor</span>" not in viewer_page.get(f"{home}members/").text
    refused = viewer_page.post(f"{home}profile/two-factor/off", {"current": PASSWORD})
    assert "Acme demands it, so it stays on." in viewer_page.get(refused.location).text
    assert fresh(select(User.second_factor_at).where(User.email == "viewer@example.com")).one() is not None


def test_a_deployment_can_demand_it(admin_page: Page, app: Flask, base: str) -> None:
    services(app).settings = replace(services(app).settings, requires_second_factor=True)
    assert admin_page.get(base).status_code == 303
    assert admin_page.get("/workspaces/new").location == "/"
    assert admin_page.post("/workspaces/new", {"name": "Mine"}).location == "/"


def test_a_code_that_does_not_fit_turns_nothing_on(admin_page: Page, home: str, workspace: Workspace) -> None:
    admin_page.post(f"{home}profile/two-factor/begin", {"current": PASSWORD})
    for code, error in (("000000", "not the app’s present code"), ("", "Enter a code.")):
        refused = admin_page.post(f"{home}profile/two-factor/confirm", {"code": code})
        assert (refused.status_code, error in refused.text) == (422, True)
    assert admin_page.post(f"{home}profile/two-factor/codes", {"current": PASSWORD}).status_code == 303
    assert fresh(select(User.second_factor_at).where(User.email == workspace.admin_email)).one() is None


def test_the_qr_code_is_drawn_here(admin_page: Page, home: str) -> None:
    admin_page.post(f"{home}profile/two-factor/begin", {"current": PASSWORD})
    text = admin_page.get(f"{home}profile/two-factor").text
    assert re.search(r'<svg [^>]*class="qr"', text)
    assert "style=" not in text
