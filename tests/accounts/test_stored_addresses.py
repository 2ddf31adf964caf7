"""Addresses that an older version stored."""

from sqlalchemy import select, update

from tests.conftest import PASSWORD, TESTER, Workspace
from tests.web.accounts import fresh
from webhooks_app.accounts import members, stored_addresses, users
from webhooks_app.core import passwords
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Invitation, Role, User
from webhooks_app.db.models import Workspace as WorkspaceRow


def store(database: WriteDatabase, email: str) -> None:
    with database.begin() as connection:
        users.add_in_transaction(
            connection, email=email, name="A", password_hash=passwords.hash_password(PASSWORD)
        )


def test_an_address_gets_the_spelling_that_is_looked_for(database: WriteDatabase) -> None:
    store(database, "a@bücher.example")
    store(database, "u\u0308nal@example.com")
    assert stored_addresses.respell_all(database) == []
    assert set(fresh(select(User.email))) == {"a@xn--bcher-kva.example", "ünal@example.com"}
    assert stored_addresses.respell_all(database) == []


def test_an_address_that_is_there_twice_or_none_is_told_and_stays(database: WriteDatabase) -> None:
    stored = ["a@bücher.example", "a@xn--bcher-kva.example", "a@xn--n3h.example", "a@example.com"]
    for email in stored:
        store(database, email)
    twice, invalid = stored_addresses.respell_all(database)
    assert "'a@bücher.example' is another spelling of 'a@xn--bcher-kva.example'" in twice
    assert "'a@xn--n3h.example' is no valid address" in invalid
    assert set(fresh(select(User.email))) == set(stored)
    for email in ("a@xn--n3h.example", "a@example.com"):
        assert users.email_to_look_up(email) == email  # still found under that spelling


def test_invitations_and_notice_addresses_are_looked_at_too(
    database: WriteDatabase, workspace: Workspace
) -> None:
    for email in ("b@example.com", "c@example.com"):
        members.invite(database, workspace.id, email, Role.ADMIN, actor=TESTER)
    with database.begin() as connection:
        old = {"b@example.com": "b@bücher.example", "c@example.com": "c@☃.example"}
        for email, stored in old.items():
            connection.execute(update(Invitation).where(Invitation.email == email).values(email=stored))
        connection.execute(update(WorkspaceRow).values(notice_addresses=["d@straße.de", "d@☃.example"]))
    invitation, notice = stored_addresses.respell_all(database)
    assert "The invitation of 'c@☃.example' is no valid address" in invitation
    assert "The notice address 'd@☃.example' of workspace 'Acme'" in notice
    assert set(fresh(select(Invitation.email))) == {"b@xn--bcher-kva.example", "c@☃.example"}
