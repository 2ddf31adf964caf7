"""Invitations by link: who can accept one, and until when."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from flask import Flask
from sqlalchemy import select, update

from tests.conftest import TESTER, Workspace
from tests.web.accounts import NEW_PASSWORD, actions, fresh, link_of
from tests.web.conftest import Page
from webhooks_app.accounts import members, users
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Invitation, Member, Role, User
from webhooks_app.extensions import db


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
