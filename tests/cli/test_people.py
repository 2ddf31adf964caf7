"""Accounts, members, tokens and workspaces from the shell: changes are made and audited, or refused."""

import re
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import insert, select

from tests.cli.shell import Shell
from tests.conftest import PASSWORD, Workspace
from tests.web.conftest import Page
from tests.web.sign_in.test_second_factor_page import turn_on
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AuditEntry, Invitation, Passkey, User
from webhooks_app.extensions import db

NEW_PASSWORD = "another horse battery"


def actions() -> list[str]:
    """What was done from the shell, in its order."""
    db.session.rollback()
    done = select(AuditEntry.action).where(AuditEntry.actor == "shell").order_by(AuditEntry.id)
    return list(db.session.scalars(done))


def test_a_user_is_added_listed_and_can_log_in(shell: Shell, app: Flask, workspace: Workspace) -> None:
    printed = shell.done("users", "add", "New@Example.com", typed=f"{NEW_PASSWORD}\n{NEW_PASSWORD}\n")
    shell.done("members", "add", "Acme", "new@example.com")

    assert "usr_" in printed
    assert [row["email"] for row in shell.rows("users", "list")] == ["acme@example.com", "new@example.com"]
    assert "new@example.com" in shell.done("users", "list")
    Page(app, "/").log_in("new@example.com", NEW_PASSWORD)


def test_what_cannot_be_added_is_refused_in_a_sentence(shell: Shell, workspace: Workspace) -> None:
    add = ("users", "add", "--password", PASSWORD)
    assert "There is a user acme@example.com already." in shell.refused(*add, "ACME@example.com")
    assert "Enter an e-mail address" in shell.refused(*add, "nobody")
    assert "Too short" in shell.refused("users", "add", "x@example.com", "--password", "short")
    assert "must not be empty" in shell.refused(*add, "x@example.com", "--name", " ")
    assert "is a member of Acme already" in shell.refused("members", "add", "Acme", "acme@example.com")
    assert "There is no workspace 'Nobody'" in shell.refused("members", "list", "Nobody")
    assert "There is no user x@example.com" in shell.refused("members", "add", "Acme", "x@example.com")
    assert len(shell.rows("users", "list")) == 1


def test_a_workspace_is_added_for_a_user_there_is(shell: Shell, workspace: Workspace) -> None:
    workspace_id = shell.done("workspaces", "add", "Second", "--admin", workspace.admin_email).strip()

    rows = {row["id"]: row for row in shell.rows("workspaces", "list")}
    assert set(rows) == {workspace.id, workspace_id}
    assert (rows[workspace_id]["name"], rows[workspace_id]["members"]) == ("Second", 1)
    [member] = shell.rows("members", "list", workspace_id)
    assert (member["email"], member["role"]) == (workspace.admin_email, "admin")
    assert "There is no user" in shell.refused("workspaces", "add", "Third", "--admin", "x@example.com")


def test_of_two_workspaces_of_one_name_the_id_says_which(shell: Shell, workspace: Workspace) -> None:
    second = shell.done("workspaces", "add", "Acme", "--admin", workspace.admin_email).strip()

    refusal = shell.refused("members", "list", "Acme")

    assert second in refusal
    assert workspace.id in refusal
    assert len(shell.rows("members", "list", second)) == 1
    assert "There is no workspace" in shell.refused("members", "list", f"ws_{'0' * 26}")


def test_roles_change_and_the_last_admin_stays(shell: Shell, workspace: Workspace) -> None:
    shell.done("users", "add", "b@example.com", "--password", PASSWORD)
    shell.done("members", "add", "Acme", "b@example.com", "--role", "viewer")
    assert "is its only admin" in shell.refused("members", "remove", "Acme", workspace.admin_email)
    assert "is its only admin" in shell.refused("members", "role", "Acme", workspace.admin_email, "viewer")

    shell.done("members", "role", "Acme", "b@example.com", "admin")
    shell.done("members", "remove", "Acme", workspace.admin_email)

    assert [(row["email"], row["role"]) for row in shell.rows("members", "list", "Acme")] == [
        ("b@example.com", "admin")
    ]
    assert "is not a member of Acme" in shell.refused("members", "remove", "Acme", workspace.admin_email)
    assert actions() == ["member.add", "member.change", "member.remove"]


def test_a_token_is_added_works_and_is_revoked(shell: Shell, app: Flask, workspace: Workspace) -> None:
    token = shell.done("tokens", "add", "Acme", "Billing", "--days", "30").strip()
    client, headers = app.test_client(), {"Authorization": f"Bearer {token}"}
    assert client.get("/api/v1/event-types", headers=headers).status_code == 200

    rows = {row["name"]: row for row in shell.rows("tokens", "list", "Acme")}
    assert (rows["Billing"]["state"], rows["Billing"]["begins_with"]) == ("live", token[:8])
    assert rows["Billing"]["expires"] is not None
    assert token not in shell.done("tokens", "list", "Acme")
    assert "is revoked" in shell.done("tokens", "revoke", rows["Billing"]["id"])
    assert "had been revoked already" in shell.done("tokens", "revoke", rows["Billing"]["id"])

    assert client.get("/api/v1/event-types", headers=headers).status_code == 401
    assert "There is no API token" in shell.refused("tokens", "revoke", "tok_none")
    assert actions() == ["token.create", "token.revoke"]


def test_a_token_has_the_scopes_that_were_asked_for(shell: Shell, workspace: Workspace) -> None:
    shell.done("tokens", "add", "Acme", "Reader", "--scope", "deliveries:read", "--scope", "endpoints:read")

    rows = {row["name"]: row["scopes"] for row in shell.rows("tokens", "list", "Acme")}
    assert rows["Reader"] == ["endpoints:read", "deliveries:read"]
    assert "events:send" in shell.refused("tokens", "add", "Acme", "x", "--scope", "everything")


def test_a_token_gets_a_rate_limit_and_another_one(shell: Shell, workspace: Workspace) -> None:
    shell.done("tokens", "add", "Acme", "Billing", "--rate", "50", "--burst", "60")

    def limit() -> tuple[str, int | None, int | None]:
        row = {each["name"]: each for each in shell.rows("tokens", "list", "Acme")}["Billing"]
        return row["id"], row["events_a_second"], row["events_at_once"]

    token_id, *said = limit()
    assert said == [50, 60]
    assert "7 events a second, 70 at once" in shell.done("tokens", "limit", token_id, "--rate", "7")
    assert limit() == (token_id, 7, 70)
    assert "no own limit" in shell.done("tokens", "limit", token_id)
    assert limit() == (token_id, None, None)
    assert "--burst needs --rate" in shell.refused("tokens", "limit", token_id, "--burst", "7")
    assert "0 is not in the range" in shell.refused("tokens", "add", "Acme", "x", "--rate", "0")
    assert "There is no API token" in shell.refused("tokens", "limit", "tok_none", "--rate", "1")
    shell.done("tokens", "revoke", token_id)
    assert "is revoked" in shell.refused("tokens", "limit", token_id, "--rate", "7")
    assert actions() == ["token.create", "token.limit", "token.limit", "token.revoke"]


def test_a_password_is_reset_by_a_link_that_is_good_once(
    shell: Shell, app: Flask, workspace: Workspace
) -> None:
    before = Page(app, f"/w/{workspace.id}/")
    before.log_in(workspace.admin_email)
    link = shell.done("reset-password", workspace.admin_email.upper()).strip()
    path = urlsplit(link).path
    page = Page(app, "/")

    assert page.get(path).status_code == 200
    assert page.post(path, {"password": NEW_PASSWORD}).status_code == 303

    page.log_in(workspace.admin_email, NEW_PASSWORD)
    assert page.get(path).status_code == 404
    assert before.get("profile/").status_code == 302
    assert actions() == ["profile.reset", "profile.reset"]


def test_a_password_is_reset_at_the_prompt(shell: Shell, app: Flask, workspace: Workspace) -> None:
    typed = f"short\nshort\n{NEW_PASSWORD}\n{NEW_PASSWORD}\n"
    printed = shell.done("reset-password", "--prompt", workspace.admin_email, typed=typed)

    assert NEW_PASSWORD not in printed
    Page(app, "/").log_in(workspace.admin_email, NEW_PASSWORD)
    assert "There is no user" in shell.refused("reset-password", "nobody@example.com")


def test_sessions_are_ended_from_the_shell(shell: Shell, app: Flask, workspace: Workspace) -> None:
    page = Page(app, f"/w/{workspace.id}/")
    page.log_in(workspace.admin_email)
    assert page.get("profile/").status_code == 200

    [listed] = shell.rows("users", "sessions", workspace.admin_email)
    assert (listed["method"], listed["address"]) == ("password", "127.0.0.1")

    shell.done("users", "end-sessions", workspace.admin_email)

    assert page.get("profile/").status_code == 302
    assert shell.rows("users", "sessions", workspace.admin_email) == []


def test_a_lost_second_factor_is_reset(shell: Shell, app: Flask, workspace: Workspace) -> None:
    home = f"/w/{workspace.id}/"
    page = Page(app, home)
    page.log_in(workspace.admin_email)
    assert "no two-factor" in shell.refused("users", "reset-two-factor", workspace.admin_email)
    turn_on(page, home)
    assert shell.rows("users", "list")[0]["two_factor"] is True

    shell.done("users", "reset-two-factor", workspace.admin_email)

    assert page.get("profile/").status_code == 302
    page.log_in(workspace.admin_email)
    assert page.get("/").status_code == 302
    assert shell.rows("users", "list")[0]["two_factor"] is False
    assert actions() == ["second_factor.reset"] * 2


def test_passkeys_are_removed_also_from_whom_has_nothing_else(
    shell: Shell, app: Flask, workspace: Workspace, database: WriteDatabase
) -> None:
    with database.begin() as connection:
        row = {"id": "psk_1", "credential_id": "AA", "public_key": b"", "sign_count": 0, "name": "Phone"}
        owner = select(User.id).where(User.email == workspace.admin_email).scalar_subquery()
        connection.execute(insert(Passkey).values(row | {"user_id": owner, "created_at": clock.now()}))

    shell.done("users", "reset-two-factor", workspace.admin_email)

    assert list(db.session.scalars(select(Passkey.id))) == []
    assert "no passkey" in shell.refused("users", "reset-two-factor", workspace.admin_email)


def test_a_link_logs_somebody_in(shell: Shell, app: Flask, workspace: Workspace) -> None:
    link = shell.done("users", "log-in-link", workspace.admin_email).strip()
    page = Page(app, f"/w/{workspace.id}/")
    assert page.post(urlsplit(link).path).location == "/"
    assert page.get("profile/").status_code == 200
    assert actions() == ["session.link_made"] * 2
    assert "There is no user" in shell.refused("users", "log-in-link", "x@example.com")


def test_an_account_is_removed_with_what_hangs_on_it(shell: Shell, app: Flask, workspace: Workspace) -> None:
    shell.done("users", "add", "b@example.com", "--password", PASSWORD)
    shell.done("members", "add", "Acme", "b@example.com", "--role", "admin")
    page = Page(app, f"/w/{workspace.id}/")
    page.log_in("b@example.com")
    page.post("members/", {"email": "guest@example.com", "role": "viewer"})

    assert "Aborted" in shell.refused("users", "remove", "b@example.com")
    shell.done("users", "remove", "b@example.com", "--yes")

    assert page.get("profile/").status_code == 302
    assert [row["email"] for row in shell.rows("members", "list", "Acme")] == [workspace.admin_email]
    assert actions()[-2:] == ["profile.remove", "profile.remove"]
    assert list(db.session.scalars(select(Invitation.closed_at).where(Invitation.closed_at.is_(None)))) == []
    assert "There is no user" in shell.refused("users", "remove", "b@example.com", "--yes")


def test_the_only_admin_of_a_workspace_is_not_removed(shell: Shell, workspace: Workspace) -> None:
    shell.done("workspaces", "add", "Second", "--admin", workspace.admin_email)
    refusal = shell.refused("users", "remove", workspace.admin_email, "--yes")
    assert "is the only admin of Acme, Second." in refusal
    assert len(shell.rows("users", "list")) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_names_cannot_steer_the_terminal(shell: Shell, workspace: Workspace) -> None:
    shell.done("tokens", "add", "Acme", "Naïve name")
    printed = shell.done("tokens", "list", "Acme")
    assert "Naïve name" in printed
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", printed)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "command",
    [
        *([name] for name in ("run", "web", "worker", "scheduler", "migrate", "doctor", "config", "expire")),
        *([group] for group in ("users", "members", "tokens", "workspaces", "reset-password", "rotate-keys")),
        *(["users", name] for name in ("list", "add", "remove", "sessions")),
        *(["users", name] for name in ("end-sessions", "reset-two-factor", "log-in-link")),
        *(["members", name] for name in ("list", "add", "role", "remove")),
        *(["tokens", name] for name in ("list", "add", "limit", "revoke")),
        ["create-workspace"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(command: list[str], shell: Shell) -> None:
    text = shell.done(*command, "--help")
    assert text.startswith("Usage: ")
    assert len(text.splitlines()) >= 5
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    assert re.fullmatch(r"avra, version \d+\.\d+\.\d+\n", shell.done("--version"))
