"""`create-workspace` takes what the console takes, and says so before anything is made."""

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from tests.conftest import PASSWORD
from tests.failing import failing
from webhooks_app.cli.workspaces import create_workspace, set_up
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken, AuditEntry, Member, User, Workspace
from webhooks_app.extensions import db

MADE = (User, Workspace, Member, ApiToken, AuditEntry)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(create_workspace, arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Acme", "--admin", "a@example.com", "--password", "a"], "Too short: use 15 characters"),
        (["", "--admin", "a@example.com", "--password", PASSWORD], "must not be empty"),
        (["\u3164", "--admin", "a@example.com", "--password", PASSWORD], "cannot be seen"),
        (["x" * 101, "--admin", "a@example.com", "--password", PASSWORD], "100 characters"),
        (["Acme", "--admin", "notanemail", "--password", PASSWORD], "Enter an e-mail address"),
        (["Acme", "--admin", "a@b..de", "--password", PASSWORD], "Enter an e-mail address"),
    ],
)
def test_what_the_console_refuses_the_shell_refuses_too(arguments: list[str], words: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("table", ["workspaces", "members", "api_tokens", "audit_entries"])
def test_a_workspace_is_set_up_whole_or_not_at_all(table: str, database: WriteDatabase) -> None:
    with failing(database, f"INSERT INTO {table}", times=1), pytest.raises(OperationalError):
        set_up(database, "Acme", "a@example.com", PASSWORD)
    db.session.rollback()
    assert [db.session.scalars(select(func.count()).select_from(each)).one() for each in MADE] == [0] * 5

    workspace_id, token = set_up(database, "Acme", "a@example.com", PASSWORD)  # the address is not taken
    assert workspace_id.startswith("ws_") and token.startswith("tok_")
