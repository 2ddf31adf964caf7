"""The members of a workspace: invited, changed, removed."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD, TESTER, Workspace
from tests.web.accounts import fresh
from tests.web.conftest import Page
from webhooks_app.accounts import members, users
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Invitation, Member, Role
from webhooks_app.extensions import db


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
    token = {"name": "x", "scopes": "events:send"}
    assert viewer_page.post(f"{home}tokens/", token).status_code == 200
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
