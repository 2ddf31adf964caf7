"""The shell's commands, run as whoever operates a deployment runs them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tests.conftest import deployed
from webhooks_app import config
from webhooks_app.cli.main import main


class Shell:
    """A shell with the environment of a deployment."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = dict.fromkeys(config.NAMES) | environ

    def run(self, *arguments: str, typed: str = "", **environ: str) -> Result:
        return CliRunner(env=self.environ | environ).invoke(main, arguments, input=typed)

    def done(self, *arguments: str, typed: str = "", **environ: str) -> str:
        """What a command prints that succeeds."""
        result = self.run(*arguments, typed=typed, **environ)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *arguments: str, typed: str = "", **environ: str) -> str:
        """What a command says that fails, which is no traceback."""
        result = self.run(*arguments, typed=typed, **environ)
        assert result.exit_code not in (0, None)
        assert isinstance(result.exception, SystemExit)
        return result.output

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.done(*arguments, "--json").splitlines()]


MakeShell = Callable[[str, str, Path], Shell]


def shell_of(database_url: str, redis_url: str, folder: Path) -> Shell:
    return Shell(deployed(database_url, redis_url, folder))
