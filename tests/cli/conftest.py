"""A shell to run commands in, on a database of the test's own; and an operator elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.cli.operator import SECRETS, Operator
from tests.cli.shell import Shell, shell_of
from tests.conftest import Workspace
from tests.server.running_server import serving
from tests.web.api.conftest import new_api


@pytest.fixture
def shell(database_url: str, redis_url: str, tmp_path: Path) -> Shell:
    return shell_of(database_url, redis_url, tmp_path)


@pytest.fixture
def operator(app: Flask, workspace: Workspace, tmp_path: Path) -> Iterator[Operator]:
    api = new_api(workspace)
    operator = Operator(tmp_path, {**SECRETS, "XDG_CONFIG_HOME": str(tmp_path), "AVRA_TOKEN": api.token}, api)
    with serving(operator.platform) as server:
        operator.env["AVRA_URL"] = f"http://127.0.0.1:{server.port}"
        yield operator
