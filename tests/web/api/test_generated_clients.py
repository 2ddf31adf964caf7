"""The document as other people's tools take it: redocly's rules, and clients that are generated of it.

What is generated is compiled under strict types, sends an event to a running platform, and reads it back.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.conftest import Workspace
from tests.server.running_server import serving
from tests.snippets import projects
from tests.web.api.conforming import DOCUMENT
from webhooks_app.extensions import services
from webhooks_app.server.event_intake import EventIntake, answer_headers

HERE = Path(__file__).with_name("clients")
# As a deployment's: a host that is one, as redocly wants it.
DESCRIBED = DOCUMENT | {"servers": [{"url": "https://webhooks.acme.test/api/v1"}]}
FILES = {path.name: path.read_text() for path in HERE.iterdir()} | {"openapi.json": json.dumps(DESCRIBED)}
UV = (sys.executable, "-m", "uv", "run", "--quiet", "--isolated", "--no-project", "--with-requirements")
IN_TOOLS = (*UV, "tools.txt")
# The generator writes a package, of which mypy then follows every import.
BUILD_PYTHON = """
import subprocess
options = ["--path", "openapi.json", "--meta", "none", "--overwrite", "--output-path", "avra_client"]
subprocess.run(["openapi-python-client", "generate", "--fail-on-warning", *options], check=True)
subprocess.run(["mypy", "send_event.py"], check=True)
"""
SECONDS = 120

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]


@pytest.fixture
def platform(app: Flask, workspace: Workspace) -> Iterator[tuple[str, str]]:
    """Where the API of a running platform is, and a token for it."""
    workspace.endpoint("https://a.example.com/")
    intake = EventIntake(services(app).group_commit, services(app).catalog, headers=answer_headers(app))
    with serving(app, intake=intake) as server:
        yield f"http://127.0.0.1:{server.port}/api/v1", workspace.token


def ran(command: tuple[str, ...], folder: Path) -> list[str]:
    """Return the lines that a program prints, which is to succeed."""
    done = projects.call(command, folder, SECONDS)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout.splitlines()


def test_redocly_finds_nothing_and_a_typescript_client_sends_an_event(platform: tuple[str, str]) -> None:
    projects.require({"node": "nodejs", "npm": "npm"})
    folder = projects.CACHE / "api-typescript"
    with projects.cache("api-typescript"):
        folder.mkdir(exist_ok=True)
        projects.lay(folder, FILES)
        install = ("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund")
        projects.fetch(folder, install, [FILES["package-lock.json"]])
        ran(("npm", "run", "--silent", "lint"), folder)
        projects.build(folder, ("npm", "run", "--silent", "build"), FILES)
        printed = ran(("node", "built/send_event.mjs", *platform), folder)
    assert printed == ["batch-lifecycle of batch_1: succeeded", "422 unknown_event_type 1"]


def test_a_python_client_sends_an_event(platform: tuple[str, str]) -> None:
    folder = projects.CACHE / "api-python"
    with projects.cache("api-python"):
        folder.mkdir(exist_ok=True)
        projects.lay(folder, FILES | {"send_event.py": FILES["send_event.txt"]})
        projects.fetch(folder, (*IN_TOOLS, "python", "-c", ""), [FILES["tools.txt"]])
        projects.build(folder, (*IN_TOOLS, "python", "-c", BUILD_PYTHON), FILES)
        printed = ran((*IN_TOOLS, "python", "send_event.py", *platform), folder)
    assert printed == ["batch-lifecycle of batch_1: succeeded", "not_found 1"]
