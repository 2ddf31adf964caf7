"""A shell to run commands in, on a database of the test's own."""

from pathlib import Path

import pytest

from tests.cli.shell import Shell, shell_of


@pytest.fixture
def shell(database_url: str, redis_url: str, tmp_path: Path) -> Shell:
    return shell_of(database_url, redis_url, tmp_path)
