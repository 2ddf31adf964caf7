"""Tokens, members, invitations, settings, profile, log-in: what the pages do, and what they refuse."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.conftest import PASSWORD, TESTER, Workspace
from tests.web.conftest import Page
from webhooks_app.accounts import members, users
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import ApiToken, AuditEntry, Invitation, Member, Role, User
from webhooks_app.db.models import Workspace as WorkspaceRow
from webhooks_app.extensions import db

NEW_PASSWORD = "staple battery horse"


@pytest.fixture
def home(workspace: Workspace) -> str:
    return f"/w/{workspace.id}/"


def fresh(statement: Any) -> Any:
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(statement)


def actions() -> list[str]:
    return list(fresh(select(AuditEntry.action).order_by(AuditEntry.id)))


# ---- API tokens


def test_a_token_is_shown_once_works_and_can_be_revoked(
    admin_page: Page, home: str, workspace: Workspace, app: Flask
) -> None:
    shown = admin_page.post(f"{home}tokens/", {"name": " Billing "})
    token = re.search(r'<code id="token">(tok_[^<]+)</code>', shown.text)[1]
    assert shown.headers["Cache-Control"] == "no-store"
    assert token not in admin_page.get(f"{home}tokens/").text
    headers = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/api/v1/event-types", headers=headers).status_code == 200
    row = fresh(select(ApiToken).where(ApiToken.name == "Billing")).one()
    assert row.last_used_at is not None

    answer = admin_page.post(f"{home}tokens/{row.id}/revoke")
    assert "“Billing” revoked" in admin_page.get(answer.location).text
    assert app.test_client().get("/api/v1/event-types", headers=headers).status_code == 401
    again = admin_page.post(f"{home}tokens/{row.id}/revoke")
    assert "revoked already" in admin_page.get(again.location).text
    assert actions().count("token.revoke") == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\0b", "\u200b", "\u202eabc"])
def test_a_token_needs_a_name(admin_page: Page, home: str, name: str) -> None:
    before = len(fresh(select(ApiToken)).all())
    refused = admin_page.post(f"{home}tokens/", {"name": name})
    assert refused.status_code == 422
    assert 'id="name-error"' in refused.text
    assert len(fresh(select(ApiToken)).all()) == before


def test_a_viewer_sees_tokens_but_no_buttons(viewer_page: Page, home: str) -> None:
    text = viewer_page.get(f"{home}tokens/").text
    assert "test" in text
    assert "Revoke" not in text.replace("Revoke</span>", "")
    assert "Create token" not in text


# ---- Members and invitations


def link_of(page: Page, home: str, email: str, role: str = "viewer") -> str:
    shown = page.post(f"{home}members/", {"email": email, "role": role})
    return re.search(r'<code id="link">http://127.0.0.1:8000(/invitations/[^<]+)</code>', shown.text)[1]


def test_somebody_new_joins_by_link_once(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    link = link_of(admin_page, home, "Grace@Example.com", "admin")
    newcomer = make_page(None)
    assert "Join Acme" in newcomer.get(link).text

    refused = newcomer.post(link, {"name": "Grace", "password": "short"})
    assert (refused.status_code, "15 characters" in refused.text) == (422, True)
    assert 'value="Grace"' in refused.text
    joined = newcomer.post(link, {"name": "Grace", "password": NEW_PASSWORD})
    assert (joined.status_code, joined.location) == (303, f"{home}alerts/webhooks/")
    assert newcomer.get(f"{home}members/").status_code == 200
    member = fresh(select(Member).join(User).where(User.email == "grace@example.com")).one()
    assert (member.role, member.workspace_id) == (Role.ADMIN, workspace.id)

    assert make_page(None).get(link).status_code == 404
    assert newcomer.post(link, {"name": "G", "password": NEW_PASSWORD}).status_code == 404
    assert [each for each in actions() if each.startswith("member.")][-2:] == ["member.invite", "member.add"]


def test_somebody_with_an_account_joins_after_the_log_in(
    admin_page: Page, stranger_page: Page, make_page: Callable[[str | None], Page], home: str
) -> None:
    link = link_of(admin_page, home, "other@example.com")
    anonymous = make_page(None)
    assert "Log in to accept" in anonymous.get(link).text
    assert anonymous.post(link, {"name": "x", "password": NEW_PASSWORD}).status_code == 403
    assert stranger_page.post(link).status_code == 303
    assert stranger_page.get(f"{home}members/").status_code == 200
    assert 'aria-current="true">Acme' in stranger_page.get(f"{home}members/").text  # the switcher


def test_an_invitation_is_for_its_address_only(admin_page: Page, stranger_page: Page, home: str) -> None:
    link = link_of(admin_page, home, "grace@example.com")
    page = stranger_page.get(link)
    assert "You are logged in as other@example.com" in page.text
    assert stranger_page.post(link, {"name": "x", "password": NEW_PASSWORD}).status_code == 403
    assert stranger_page.get(f"{home}members/").status_code == 404


def test_a_withdrawn_replaced_or_expired_invitation_is_closed(
    admin_page: Page, anonymous_page: Page, home: str, database: WriteDatabase
) -> None:
    first = link_of(admin_page, home, "grace@example.com")
    second = link_of(admin_page, home, "grace@example.com")
    assert anonymous_page.get(first).status_code == 404
    row = fresh(select(Invitation).where(Invitation.closed_at.is_(None))).one()
    answer = admin_page.post(f"{home}members/invitations/{row.id}/withdraw")
    assert "withdrawn" in admin_page.get(answer.location).text
    assert anonymous_page.get(second).status_code == 404
    third = link_of(admin_page, home, "grace@example.com")
    with database.begin() as connection:
        connection.execute(update(Invitation).values(expires_at=clock.now() - timedelta(seconds=1)))
    closed = anonymous_page.get(third)
    assert (closed.status_code, "Ask whoever sent it" in closed.text) == (404, True)
    assert anonymous_page.get("/invitations/guess").status_code == 404


def test_one_invitation_accepted_twice_at_once_makes_one_member(
    admin_page: Page, home: str, database: WriteDatabase, app: Flask
) -> None:
    link_of(admin_page, home, "grace@example.com")
    row = fresh(select(Invitation)).one()
    db.session.expunge(row)

    def accept(number: int) -> str:
        try:
            members.accept(database, row, user_id=None, name=f"G{number}", password=NEW_PASSWORD)
        except (members.InvitationClosed, users.EmailTaken, members.AlreadyMember) as refused:
            return type(refused).__name__
        return "joined"

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(accept, range(4)))
    assert results.count("joined") == 1
    assert len(fresh(select(User).where(User.email == "grace@example.com")).all()) == 1


@pytest.mark.parametrize(
    ("email", "role", "field"),
    [
        ("", "viewer", "email"),
        ("no address", "viewer", "email"),
        ("a@b\r\nBcc: x@y.example", "viewer", "email"),
        ("acme@example.com", "viewer", "email"),
        ("x" * 250 + "@example.com", "viewer", "email"),
        ("grace@example.com", "owner", "role"),
    ],
)
def test_an_invitation_that_cannot_be_is_refused_at_its_field(
    admin_page: Page, home: str, email: str, role: str, field: str
) -> None:
    refused = admin_page.post(f"{home}members/", {"email": email, "role": role})
    assert refused.status_code == 422
    assert f'id="{field}-error"' in refused.text
    assert fresh(select(Invitation)).all() == []


def test_roles_change_at_once_and_the_last_admin_stays(
    admin_page: Page, viewer_page: Page, home: str, workspace: Workspace
) -> None:
    people = {member.user.email: member.user_id for member in fresh(select(Member)).all()}
    viewer, admin = people["viewer@example.com"], people[workspace.admin_email]
    for url, data in ((f"members/{admin}/role", {"role": "viewer"}), (f"members/{admin}/remove", {})):
        answer = admin_page.post(home + url, data)
        assert "A workspace needs an admin" in admin_page.get(answer.location).text
    assert viewer_page.post(f"{home}tokens/", {"name": "x"}).status_code == 403

    admin_page.post(f"{home}members/{viewer}/role", {"role": "admin"})
    assert viewer_page.post(f"{home}tokens/", {"name": "x"}).status_code == 200
    answer = admin_page.post(f"{home}members/{admin}/remove")  # leaves
    assert answer.location == "/"
    assert "No workspace yet" in admin_page.get("/").text
    assert viewer_page.get(f"{home}members/").status_code == 200
    assert admin_page.post(f"{home}members/{viewer}/remove").status_code == 404


def test_two_admins_who_remove_each_other_leave_one(
    workspace: Workspace, database: WriteDatabase, admin_page: Page
) -> None:
    second = users.add(database, email="b@example.com", name="B", password=PASSWORD)
    members.add(database, workspace.id, second, Role.ADMIN, actor=TESTER)
    both = fresh(select(Member)).all()
    for each in both:
        db.session.expunge(each)

    def remove(member: Member) -> bool:
        try:
            members.remove(database, member, actor=TESTER)
        except members.LastAdmin:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(remove, both)) == [False, True]


# ---- Settings


def test_settings_are_saved_and_used(admin_page: Page, home: str, workspace: Workspace) -> None:
    typed = {
        "name": "Acme EU",
        "retention": "90",
        "timeout": "9",
        "addresses": "ops@acme.example\n\nb@c.example",
    }
    answer = admin_page.post(f"{home}settings/", typed)
    page = admin_page.get(answer.location).text
    assert "Changes saved." in page
    row = fresh(select(WorkspaceRow)).one()
    assert (row.name, row.retention_days, row.default_timeout_ms) == ("Acme EU", 90, 9000)
    assert row.notice_addresses == ["ops@acme.example", "b@c.example"]
    assert 'id="timeout" name="timeout" value="9"' in admin_page.get("endpoints/new").text
    assert "Kept for 90 days" in admin_page.get("deliveries/?range=1h").text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"retention": "0"}, "retention"),
        ({"retention": "366"}, "retention"),
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


def test_anybody_can_make_a_workspace_and_is_its_admin(viewer_page: Page, home: str) -> None:
    assert viewer_page.post("/workspaces/new", {"name": ""}).status_code == 422
    answer = viewer_page.post("/workspaces/new", {"name": "Staging"})
    assert answer.status_code == 303
    page = viewer_page.get(answer.location).text
    assert "You are its admin" in page
    assert viewer_page.post(f"/w/{answer.location.split('/')[2]}/tokens/", {"name": "x"}).status_code == 200
    assert ">Staging<" in viewer_page.get(f"{home}members/").text


# ---- Profile and log-in


def test_a_password_change_ends_the_other_sessions_only(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    other = make_page(workspace.admin_email)
    refused = admin_page.post(f"{home}profile/password", {"current": "wrong", "new": NEW_PASSWORD})
    assert (refused.status_code, 'id="current-error"' in refused.text) == (422, True)
    refused = admin_page.post(f"{home}profile/password", {"current": PASSWORD, "new": "short"})
    assert (refused.status_code, 'id="new-error"' in refused.text) == (422, True)

    answer = admin_page.post(f"{home}profile/password", {"current": PASSWORD, "new": NEW_PASSWORD})
    assert "Password changed." in admin_page.get(answer.location).text
    assert other.get(f"{home}profile/").status_code == 302
    make_page(None).log_in(workspace.admin_email, NEW_PASSWORD)
    assert "profile.password" in actions()


def test_other_sessions_can_be_ended(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    other = make_page(workspace.admin_email)
    admin_page.post(f"{home}profile/sessions")
    assert admin_page.get(f"{home}profile/").status_code == 200
    assert other.get(f"{home}profile/").status_code == 302


def test_a_name_can_be_changed(admin_page: Page, home: str) -> None:
    assert admin_page.post(f"{home}profile/name", {"name": "\0"}).status_code == 422
    admin_page.post(f"{home}profile/name", {"name": "Ada L."})
    assert "<b>Ada L.</b>" in admin_page.get(f"{home}profile/").text


def test_the_session_changes_at_the_log_in_and_ends_at_the_log_out(
    make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    page = make_page(None)
    page.get("/login")
    before = page.client.get_cookie("session").value
    page.log_in(workspace.admin_email)
    stolen = page.client.get_cookie("session").value
    assert stolen != before
    page.post("/logout")
    page.client.set_cookie("session", stolen)
    assert page.get(f"{home}profile/").status_code == 302


@pytest.mark.parametrize("email", ["acme@example.com", "nobody@example.com"])
def test_log_ins_of_an_account_are_limited_whether_it_exists_or_not(
    anonymous_page: Page, workspace: Workspace, email: str, databases: Databases
) -> None:
    texts = set()
    for _ in range(users.REFUSALS_OF_ACCOUNT):
        refused = anonymous_page.post("/login", {"email": email.upper(), "password": "guess"})
        assert refused.status_code == 422
        texts.add(re.sub(r'value="[^"]*"', "", refused.text).count("E-mail or password is wrong."))
    assert texts == {1}
    locked = anonymous_page.post("/login", {"email": email, "password": PASSWORD})
    assert (locked.status_code, "Too many tries" in locked.text) == (429, True)
    later = clock.now() + users.REFUSALS_WITHIN
    assert not users.is_locked(databases.read, email=email, address="127.0.0.1", now=later)


def test_log_ins_from_an_address_are_limited(
    anonymous_page: Page, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "REFUSALS_OF_ADDRESS", 4)
    for number in range(4):
        anonymous_page.post("/login", {"email": f"u{number}@example.com", "password": "guess"})
    forged = {"X-Forwarded-For": "203.0.113.9"}  # no proxy is configured, so nobody may say so
    data = {"email": workspace.admin_email, "password": PASSWORD, "csrf_token": anonymous_page.token()}
    locked = anonymous_page._open("POST", "/login", data=data, headers=forged)
    assert locked.status_code == 429


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/%09/[", "/a%0d%0aX:%20y", "//["],
)
def test_the_log_in_leads_nowhere_else(anonymous_page: Page, workspace: Workspace, target: str) -> None:
    data = {"email": workspace.admin_email, "password": PASSWORD}
    assert anonymous_page.post(f"/login?next={target}", data).location == "/"


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_ipv6_counts_by_its_network(address: str, key: str) -> None:
    assert users.limit_key(address) == key


def test_one_address_is_one_account_however_it_is_spelled(database: WriteDatabase) -> None:
    users.add(database, email=" A@EXÄMPLE.com", name="A", password=PASSWORD)
    with pytest.raises(users.EmailTaken):
        users.add(database, email="a@xn--exmple-cua.com", name="A", password=PASSWORD)


def test_who_leaves_or_is_demoted_leaves_no_open_invitation(
    admin_page: Page, viewer_page: Page, anonymous_page: Page, home: str, workspace: Workspace
) -> None:
    people = {member.user.email: member.user_id for member in fresh(select(Member)).all()}
    viewer = people["viewer@example.com"]
    admin_page.post(f"{home}members/{viewer}/role", {"role": "admin"})
    theirs = link_of(viewer_page, home, "second@example.com", "admin")
    ours = link_of(admin_page, home, "third@example.com")
    admin_page.post(f"{home}members/{viewer}/role", {"role": "viewer"})
    assert anonymous_page.get(theirs).status_code == 404
    assert anonymous_page.get(ours).status_code == 200


def test_an_invitation_of_a_member_is_closed_when_it_is_tried(
    admin_page: Page, stranger_page: Page, home: str, workspace: Workspace, database: WriteDatabase
) -> None:
    link = link_of(admin_page, home, "other@example.com")
    stranger = fresh(select(User).where(User.email == "other@example.com")).one().id
    members.add(database, workspace.id, stranger, Role.VIEWER, actor=TESTER)
    stranger_page.post(link)
    assert stranger_page.get(link).status_code == 404


@pytest.mark.parametrize(
    "url",
    ["/w/%00/members/", "endpoints/%00", "deliveries/%00", "recoveries/%00", "deliveries/changes?seen=%00~x"],
)
def test_a_nul_in_an_address_is_nothing_there(admin_page: Page, url: str) -> None:
    assert admin_page.get(url).status_code in (204, 404)


def test_a_nul_in_a_form_is_no_bug(admin_page: Page, anonymous_page: Page, home: str) -> None:
    assert anonymous_page.post("/login", {"email": "a\0b@x.y", "password": "x"}).status_code == 422
    assert admin_page.post("deliveries/replay", {"delivery": "\0"}).status_code == 404
    fragment = {"HX-Request-Type": "partial", "HX-Current-URL": "http://["}
    assert anonymous_page.get("deliveries/", headers=fragment).status_code == 401
