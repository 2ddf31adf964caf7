"""A database that was never migrated, as the shell's commands and the processes meet it."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.conftest import PASSWORD, deployed
from webhooks_app import config

COMMANDS = {
    "web": ["-m", "webhooks_app", "web"],
    "wsgi": ["wsgi.py"],
    "another server": ["-c", "import wsgi"],
    "worker": ["-m", "webhooks_app", "worker"],
    "worker.py": ["worker.py"],
    "scheduler": ["-m", "webhooks_app", "scheduler"],
    "rotate-keys": ["-m", "webhooks_app", "rotate-keys"],
    "expire": ["-m", "webhooks_app", "expire"],
    "create-workspace": [
        *("-m", "webhooks_app", "create-workspace", "Acme", "--admin", "a@example.com"),
        *("--password", PASSWORD),
    ],
}


def run(arguments: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in config.NAMES}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=config.ROOT,
        env=kept | environ,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture
def empty_url(database_url: str, tmp_path: Path) -> str:
    """A database that holds nothing; on PostgreSQL, a schema of that kind."""
    if database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'empty.db'}"
    joint = "&" if "?" in database_url else "?"
    return f"{database_url}{joint}options={quote('-c search_path=nowhere')}"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_empty_schema_ends_each_with_status_78_and_one_line(
    empty_url: str, redis_url: str, tmp_path: Path, command: str
) -> None:
    done = run(COMMANDS[command], deployed(empty_url, redis_url, tmp_path))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.splitlines() == ["error: The database's schema is empty; run `avra migrate`."]


def test_no_password_shows_on_an_empty_schema(empty_url: str, redis_url: str, tmp_path: Path) -> None:
    done = run(COMMANDS["create-workspace"], deployed(empty_url, redis_url, tmp_path))
    assert done.returncode == 78
    assert "Traceback" not in done.stderr
    assert "argon2" not in done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
