"""`create-workspace` takes what the console takes, and says so before anything is made."""

import pytest
from click.testing import CliRunner, Result

from tests.conftest import PASSWORD
from webhooks_app.cli.workspaces import create_workspace


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
