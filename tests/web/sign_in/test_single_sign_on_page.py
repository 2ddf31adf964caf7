"""Logging in by a real provider: who gets in, as whom, in which roles, and what happens while it is away."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from tests.conftest import PASSWORD, TESTER, Workspace
from tests.free_ports import free_port
from tests.reading import captured
from tests.web.accounts import actions, fresh
from tests.web.conftest import Page
from tests.web.sign_in import real_provider
from tests.web.sign_in.real_provider import SECRET, RealProvider
from tests.web.sign_in.test_second_factor_page import turn_on
from tests.web.test_every_route import passkey_of
from tests.web.test_profile_page import sessions_of
from webhooks_app.accounts import external_identities, log_in_links, members, password_resets, users
from webhooks_app.core import clock
from webhooks_app.core.oidc_settings import GroupGrant, OidcSettings
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    AuditEntry,
    ExternalIdentity,
    Member,
    Passkey,
    RecoveryCode,
    Role,
    SecurityMail,
    SignInMethod,
    TotpSecret,
    User,
    UserSession,
)
from webhooks_app.extensions import db, services
from webhooks_app.web.sign_in import current_password

START = "/login/sso"
ADA = {"email": "Ada@Example.com", "email_verified": True, "name": "Ada L."}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProvider]:
    """One for the whole module: Node takes a second to start."""
    with real_provider.running(tmp_path_factory.mktemp("provider"), free_port()) as provider:
        yield provider


@pytest.fixture
def provider(real: RealProvider, app: Flask) -> RealProvider:
    real.people.clear()
    real.log_in_there(None)
    set_up(app, real.issuer)
    return real


def set_up(app: Flask, issuer: str, **changed: Any) -> None:
    usual: dict[str, Any] = {
        "issuer": issuer,
        "client_id": "avra",
        "client_secret": SECRET,
        "name": "Example SSO",
        "scopes": "openid email profile groups",
        "groups_claim": "groups",
        "grants": (),
        "links_by_email": False,
        "trusts_email": False,
        "ca_bundle": None,
    }
    services(app).settings = replace(services(app).settings, oidc=OidcSettings(**(usual | changed)))
    services(app).__dict__.pop("sign_in_provider", None)


def grant(app: Flask, provider: RealProvider, workspace: Workspace) -> None:
    grants = (
        GroupGrant("hooks", workspace.id, "viewer"),
        GroupGrant("cn=admins,ou=x", workspace.id, "admin"),
    )
    set_up(app, provider.issuer, grants=grants)


def log_in(page: Page, provider: RealProvider, *, start: str = START) -> Any:
    return page.get(provider.walk(page.get(start).location))


def user_of(email: str) -> User:
    found: User = fresh(select(User).where(User.email == email)).one()
    return found


def test_somebody_new_gets_an_account_of_their_own(
    provider: RealProvider, anonymous_page: Page, home: str
) -> None:
    provider.log_in_there("ada", **ADA)
    assert "Log in with Example SSO" in anonymous_page.get("/login").text
    done = log_in(anonymous_page, provider, start=f"{START}?next=/workspaces/new")
    assert (done.status_code, done.location) == (303, "/workspaces/new")
    assert anonymous_page.get("/workspaces/new").status_code == 200
    assert user_of("ada@example.com").name == "Ada L."
    assert [each.method for each in sessions_of("ada@example.com")] == [SignInMethod.SSO]
    assert {"sso.connect", "session.log_in"} <= set(actions())
    assert anonymous_page.get(home).status_code == 404  # a member of nothing


def test_only_a_later_connection_of_an_account_is_told_of_by_e_mail(
    provider: RealProvider, app: Flask, make_page: Callable[[str | None], Page], workspace: Workspace
) -> None:
    set_up(app, provider.issuer, links_by_email=True)
    told = select(SecurityMail.email).where(SecurityMail.action == "sso.connect")
    provider.log_in_there("ada", **ADA)
    assert log_in(make_page(None), provider).status_code == 303
    assert fresh(told).all() == []
    provider.log_in_there("boss", email=workspace.admin_email, email_verified=True)
    assert log_in(make_page(None), provider).status_code == 303
    assert fresh(told).all() == [workspace.admin_email]


def test_the_same_person_comes_back_to_the_same_account(
    provider: RealProvider, make_page: Callable[[str | None], Page]
) -> None:
    provider.log_in_there("ada", **ADA)
    log_in(make_page(None), provider)
    provider.log_in_there("ada", **(ADA | {"email": "married@example.com"}))
    assert log_in(make_page(None), provider).location == "/"
    assert len(sessions_of("ada@example.com")) == 2
    assert fresh(select(func.count(User.id)).where(User.email == "married@example.com")).one() == 0


@pytest.mark.parametrize(
    ("claims", "refusal"),
    [
        (ADA | {"email_verified": False}, external_identities.UNVERIFIED),
        ({"email": "ada@example.com"}, external_identities.UNVERIFIED),
        ({"name": "Ada"}, external_identities.NO_EMAIL),
        (ADA | {"email": "not an address"}, external_identities.BAD_EMAIL),
    ],
)
def test_who_cannot_be_told_apart_gets_no_account(
    provider: RealProvider, anonymous_page: Page, claims: dict[str, Any], refusal: str
) -> None:
    provider.log_in_there("ada", **claims)
    refused = log_in(anonymous_page, provider)
    assert (refused.status_code, refusal.split("“")[0] in refused.text) == (403, True)
    assert fresh(select(func.count(ExternalIdentity.subject))).one() == 0
    assert anonymous_page.get("/").location == "/login"


def test_an_address_takes_over_no_account(
    provider: RealProvider, anonymous_page: Page, app: Flask, workspace: Workspace
) -> None:
    mallory = {"email": workspace.admin_email, "email_verified": True}
    provider.log_in_there("mallory", **mallory)
    refused = log_in(anonymous_page, provider)
    assert (refused.status_code, external_identities.TAKEN in refused.text) == (403, True)

    set_up(app, provider.issuer, links_by_email=True)
    provider.log_in_there("mallory", **(mallory | {"email_verified": False}))
    assert log_in(anonymous_page, provider).status_code == 403
    provider.log_in_there("mallory", **mallory)
    assert log_in(anonymous_page, provider).status_code == 303
    assert anonymous_page.get("/").location.startswith(f"/w/{workspace.id}")


def test_an_account_that_is_linked_by_its_address_is_nobody_elses_any_more(
    provider: RealProvider, app: Flask, make_page: Callable[[str | None], Page], workspace: Workspace
) -> None:
    """A stranger who opened the person's invitation made the account before, with all that opens one."""
    squatter, elsewhere = make_page(workspace.admin_email), make_page(workspace.admin_email)
    provider.log_in_there("squatter", email="squatter@example.net", email_verified=True)
    connect(squatter, provider)
    _, codes = turn_on(squatter, f"/w/{workspace.id}/")
    elsewhere.log_in(workspace.admin_email)
    elsewhere.post("/login/second-factor", {"code": codes[0]})
    assert elsewhere.get("").status_code == 200
    [user_id] = fresh(select(User.id).where(User.email == workspace.admin_email))
    passkey_of(services().write, user_id)

    set_up(app, provider.issuer, links_by_email=True)
    provider.log_in_there("boss", email=workspace.admin_email, email_verified=True)
    person = squatter  # in a browser where the other is still logged in
    assert log_in(person, provider).status_code == 303
    assert person.get("").status_code == 200
    assert elsewhere.get("").status_code == 302
    assert [each.method for each in sessions_of(workspace.admin_email)] == [SignInMethod.SSO]
    for row in (TotpSecret, RecoveryCode, Passkey):
        assert fresh(select(row).where(row.user_id == user_id)).all() == []
    told = fresh(select(AuditEntry.action).where(AuditEntry.details.contains('"ended"'))).all()
    assert told == ["sso.connect"] * 2  # for the platform, and for the workspace

    again = make_page(None)
    assert again.post("/login", {"email": workspace.admin_email, "password": PASSWORD}).status_code == 422
    provider.log_in_there("squatter", email="squatter@example.net", email_verified=True)
    log_in(again, provider)
    assert [each.user_id for each in fresh(select(ExternalIdentity)) if each.user_id == user_id] == [user_id]
    assert again.get("").status_code == 404  # an account of their own, without a role


def test_a_second_log_in_of_the_linked_account_ends_nothing(
    provider: RealProvider, app: Flask, make_page: Callable[[str | None], Page], workspace: Workspace
) -> None:
    set_up(app, provider.issuer, links_by_email=True)
    provider.log_in_there("boss", email=workspace.admin_email, email_verified=True)
    pages = [make_page(None), make_page(None)]
    for page in pages:
        assert log_in(page, provider).status_code == 303
    assert [page.get("").status_code for page in pages] == [200, 200]


def connect(page: Page, provider: RealProvider) -> None:
    """Connect the account of that browser with whoever is logged in at the provider."""
    home = page.base.removesuffix("alerts/webhooks/")
    shown = page.post(f"{home}profile/sso/connect", {"current": PASSWORD})
    target = captured(r'<a class="button" href="(http[^"]+)">', shown.text).replace("&amp;", "&")
    assert page.get(provider.walk(target)).location == "/"


def test_an_account_is_connected_by_whoever_is_logged_in_to_it(
    provider: RealProvider, admin_page: Page, make_page: Callable[[str | None], Page], home: str
) -> None:
    provider.log_in_there("boss", email="elsewhere@example.net", email_verified=False)
    refused = admin_page.post(f"{home}profile/sso/connect", {"current": "wrong"})
    assert "This is not your current password." in admin_page.get(refused.location).text
    connect(admin_page, provider)
    assert "Connected" in admin_page.get(f"{home}profile/").text

    page = make_page(None)
    assert log_in(page, provider).location == "/"
    assert page.get(f"{home}profile/").status_code == 200

    admin_page.post(f"{home}profile/sso/disconnect", {"current": PASSWORD})
    assert log_in(make_page(None), provider).status_code == 403


def test_one_identity_is_not_connected_to_two_accounts(
    provider: RealProvider, admin_page: Page, viewer_page: Page, home: str
) -> None:
    provider.log_in_there("boss", **ADA)
    for page, is_taken in ((admin_page, False), (viewer_page, True)):
        shown = page.post(f"{home}profile/sso/connect", {"current": PASSWORD})
        target = captured(r'<a class="button" href="(http[^"]+)">', shown.text).replace("&amp;", "&")
        answer = page.get(provider.walk(target))
        assert (answer.status_code == 403) == is_taken
    assert fresh(select(func.count(ExternalIdentity.subject))).one() == 1


def test_groups_give_a_role_and_take_it_again(
    provider: RealProvider,
    app: Flask,
    admin_page: Page,
    make_page: Callable[[str | None], Page],
    home: str,
    workspace: Workspace,
) -> None:
    grant(app, provider, workspace)

    def role_with(*groups: str) -> Role | None:
        provider.log_in_there("ada", **ADA, groups=list(groups))
        log_in(make_page(None), provider)
        theirs = (
            select(Member.role).join(User, User.id == Member.user_id).where(User.email == "ada@example.com")
        )
        role: Role | None = fresh(theirs).first()
        return role

    assert role_with("hooks", "other") is Role.VIEWER
    assert ">by group</span>" in admin_page.get(f"{home}members/").text
    assert role_with("hooks", "cn=admins,ou=x") is Role.ADMIN
    assert role_with("hooks") is Role.VIEWER
    assert role_with() is None
    assert {"member.add", "member.change", "member.remove"} <= set(actions())


def test_without_a_group_that_has_access_there_is_no_account(
    provider: RealProvider, app: Flask, anonymous_page: Page, workspace: Workspace
) -> None:
    grant(app, provider, workspace)
    for groups in ({"groups": ["others"]}, {}):
        provider.log_in_there("ada", **ADA, **groups)
        refused = log_in(anonymous_page, provider)
        assert (refused.status_code, external_identities.NO_GROUP in refused.text) == (403, True)
    assert fresh(select(func.count(User.id)).where(User.email == "ada@example.com")).one() == 0


def test_what_an_admin_gave_no_group_takes(
    provider: RealProvider, app: Flask, anonymous_page: Page, workspace: Workspace
) -> None:
    user_id = users.add(services().write, email="ada@example.com", name="Ada", password=PASSWORD)
    members.add(services().write, workspace.id, user_id, Role.ADMIN, actor=TESTER)
    grant(app, provider, workspace)
    oidc = services(app).settings.oidc
    assert oidc
    set_up(app, provider.issuer, grants=oidc.grants, links_by_email=True)
    for groups in (["hooks"], []):
        provider.log_in_there("ada", **ADA, groups=groups)
        assert log_in(anonymous_page, provider).status_code == 303
        assert fresh(select(Member.role).where(Member.user_id == user_id)).one() is Role.ADMIN


def test_a_second_factor_is_asked_for_here_too(
    provider: RealProvider,
    admin_page: Page,
    anonymous_page: Page,
    home: str,
    workspace: Workspace,
) -> None:
    provider.log_in_there("boss", email=workspace.admin_email, email_verified=True)
    connect(admin_page, provider)
    _, codes = turn_on(admin_page, home)
    assert log_in(anonymous_page, provider).location.startswith("/login/second-factor")
    assert anonymous_page.get(home).status_code in (302, 404)
    assert anonymous_page.get("/").location == "/login"
    assert anonymous_page.post("/login/second-factor", {"code": codes[0]}).location == "/"


def test_a_demanded_second_factor_is_the_providers_to_ask_for(
    provider: RealProvider, app: Flask, anonymous_page: Page, base: str, workspace: Workspace
) -> None:
    grant(app, provider, workspace)
    services(app).settings = replace(services(app).settings, requires_second_factor=True)
    provider.log_in_there("ada", **ADA, groups=["hooks"])
    log_in(anonymous_page, provider)
    assert anonymous_page.get(base).status_code == 200


def test_whoever_says_no_at_the_provider_gets_a_sentence(
    provider: RealProvider, anonymous_page: Page
) -> None:
    refused = log_in(anonymous_page, provider)
    assert (refused.status_code, "did not work" in refused.text) == (403, True)
    assert re.search(r'id="email"[^>]* autofocus', refused.text)
    assert not re.search(r'id="password"[^>]* autofocus', refused.text)


def test_a_way_back_is_good_once_and_in_its_own_browser(
    provider: RealProvider, make_page: Callable[[str | None], Page]
) -> None:
    provider.log_in_there("ada", **ADA)
    page, other = make_page(None), make_page(None)
    path = provider.walk(page.get(START).location)
    assert other.get(path).status_code == 403  # whoever is sent somebody else's link
    other.get(START)
    assert other.get(path).status_code == 403
    assert page.get(path).status_code == 303
    assert page.get(path).status_code == 403
    assert other.get("/").location == "/login"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_it_leads_nowhere_else(provider: RealProvider, anonymous_page: Page, target: str) -> None:
    provider.log_in_there("ada", **ADA)
    assert log_in(anonymous_page, provider, start=f"{START}?next={target}").location == "/"


def test_new_keys_of_the_provider_are_found(
    provider: RealProvider, make_page: Callable[[str | None], Page], tmp_path: Path
) -> None:
    provider.log_in_there("ada", **ADA)
    assert log_in(make_page(None), provider).status_code == 303
    provider.stop()
    provider.start(keys=real_provider.new_keys(tmp_path / "keys.json"))
    provider.log_in_there("ada", **ADA)
    assert log_in(make_page(None), provider).status_code == 303


def test_while_it_is_away_passwords_and_links_still_let_in(
    real: RealProvider, app: Flask, make_page: Callable[[str | None], Page], workspace: Workspace
) -> None:
    set_up(app, f"http://127.0.0.1:{free_port()}")
    page = make_page(None)
    away = page.get(START)
    assert (away.status_code, "Example SSO does not answer" in away.text) == (503, True)
    assert away.headers["Retry-After"] == "60"
    page.log_in(workspace.admin_email)


def test_who_has_no_password_may_change_things_for_a_quarter_of_an_hour(
    provider: RealProvider, app: Flask, anonymous_page: Page, home: str, workspace: Workspace
) -> None:
    grant(app, provider, workspace)
    provider.log_in_there("ada", **ADA, groups=["hooks"])
    log_in(anonymous_page, provider)
    page = f"{home}profile/two-factor"
    assert 'type="password"' not in anonymous_page.get(page).text
    assert anonymous_page.post(f"{page}/begin").status_code == 303
    with services().write.begin() as connection:
        begun = clock.now() - current_password.FRESH - timedelta(seconds=1)
        connection.execute(update(UserSession).values(created_at=begun))
    refused = anonymous_page.post(f"{home}profile/sso/disconnect", {"current": "x"})
    assert current_password.STALE in anonymous_page.get(refused.location).text
    assert fresh(select(func.count(ExternalIdentity.subject))).one() == 1


def without_passwords(app: Flask, issuer: str) -> None:
    set_up(app, issuer)
    services(app).settings = replace(services(app).settings, password_log_in=False)


def test_without_passwords_only_the_provider_lets_in(
    provider: RealProvider,
    app: Flask,
    admin_page: Page,
    anonymous_page: Page,
    home: str,
    workspace: Workspace,
) -> None:
    invitation = members.invite(services().write, workspace.id, "new@example.com", Role.VIEWER, actor=TESTER)
    without_passwords(app, provider.issuer)
    refused = anonymous_page.post("/login", {"email": workspace.admin_email, "password": PASSWORD})
    assert (refused.status_code, "Passwords are not taken" in refused.text) == (403, True)
    assert 'type="password"' not in anonymous_page.get("/login").text
    assert anonymous_page.post("/password-reset/", {"email": workspace.admin_email}).status_code == 404
    assert admin_page.post(f"{home}profile/password", {"current": PASSWORD}).status_code == 404
    joined = anonymous_page.post(f"/invitations/{invitation}", {"name": "N", "password": "x" * 20})
    assert joined.status_code == 403

    provider.log_in_there("new", email="new@example.com", email_verified=True)
    log_in(anonymous_page, provider)
    assert anonymous_page.post(f"/invitations/{invitation}").status_code == 303
    assert anonymous_page.get(home + "members/").status_code == 200


def test_an_operators_link_lets_in_while_the_provider_is_away(
    real: RealProvider, app: Flask, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    other = make_page(workspace.admin_email)
    without_passwords(app, f"http://127.0.0.1:{free_port()}")
    user, settings = user_of(workspace.admin_email), services(app).settings
    path = log_in_links.new_link(user, "", settings.secret_key)
    page, second = make_page(None), make_page(None)
    for _ in range(2):  # looking at it does not use it up
        assert workspace.admin_email in page.get(path).text
    assert page.post(path, csrf=False).status_code == 400
    assert page.post(path).location == "/"
    assert page.get(f"{home}profile/").status_code == 200
    assert other.get(f"{home}profile/").status_code == 302
    assert second.post(path).status_code == 404
    assert {"session.link", "session.log_in"} <= set(actions())


def test_a_link_is_of_its_account_and_for_ten_minutes(
    real: RealProvider, app: Flask, database: WriteDatabase, workspace: Workspace
) -> None:
    user, key = user_of(workspace.admin_email), services(app).settings.secret_key
    token = log_in_links.new_link(user, "", key).rpartition("/")[2]
    assert log_in_links.find_user(db.session(), token, key) is not None
    assert log_in_links.find_user(db.session(), token, key, life=timedelta(seconds=-1)) is None
    assert log_in_links.find_user(db.session(), token, "x" * 32) is None
    assert log_in_links.find_user(db.session(), password_resets.new_token(user, key), key) is None
    with ThreadPoolExecutor(4) as pool:
        used = pool.map(lambda _: log_in_links.use(database, user, actor=TESTER), range(8))
        assert sum(used) == 1
