"""The scopes that the documents name for each command are those that it needs, and no others."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from docs_site.navigation import ROOT
from tests.cli.test_api_commands import Avra
from tests.conftest import Workspace
from tests.server.running_server import serving
from tests.web.api.conftest import new_api
from tests.web.deliveries import newest
from webhooks_app.accounts.token_scopes import TokenScope

LACKS_A_SCOPE = os.EX_NOPERM
DATA = json.dumps({"batch_id": "b1", "status": "succeeded"})
# A call of each command that begins at once and ends; those of `tail` and `listen` never do.
CALLS = {
    "events send": f"batch-lifecycle --data {DATA.replace(' ', '')}",
    "send-example": "batch-lifecycle",
    "endpoints list": "",
    "endpoints show": "ENDPOINT",
    "endpoints create": "https://b.example.com/ --name Other",
    "endpoints update": "ENDPOINT --name Renamed",
    "endpoints delete": "ENDPOINT --yes",
    "endpoints enable": "ENDPOINT",
    "endpoints disable": "ENDPOINT",
    "endpoints test": "ENDPOINT batch-lifecycle",
    "endpoints rotate": "ENDPOINT",
    "deliveries list": "",
    "deliveries show": "DELIVERY",
    "deliveries replay": "DELIVERY",
    "deliveries cancel": "DELIVERY",
    "recover": "--status failed --since 6h --yes",
    "apply": "FILE --yes",
    "export": "",
}


def documented() -> dict[str, set[TokenScope]]:
    """The scopes of each command by the table: of those separated by commas, each has the row's."""
    text = (ROOT / "docs" / "shell.md").read_text()
    table = text.partition("| Command | Scopes |\n|---|---|\n")[2].partition("\n\n")[0]
    found: dict[str, set[TokenScope]] = {}
    for line in table.splitlines():
        commands, scopes = line.strip("| ").split(" | ")
        first, *others = re.findall("`([^`]+)`", commands)
        group = first.removeprefix("avra ").rpartition(" ")[0]
        names = [first.removeprefix("avra "), *(f"{group} {each}" for each in others)]
        of_row = {TokenScope(each) for each in re.findall("`([a-z]+:[a-z]+)`", scopes.partition(";")[0])}
        found |= dict.fromkeys(names, of_row)
    return found


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """SQLite alone: nothing here depends on the database."""
    return sqlite_url


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    with serving(app) as server:
        yield f"http://127.0.0.1:{server.port}"


def test_the_table_has_every_command() -> None:
    assert set(documented()) == {*CALLS, "events tail", "listen"}


@pytest.mark.parametrize("command", CALLS)
def test_a_command_needs_the_scopes_that_the_documents_name(
    command: str, url: str, workspace: Workspace, tmp_path: Path
) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/")
    workspace.send()
    file = tmp_path / "endpoints.yaml"
    file.write_text(
        "version: 1\nmanaged_by: a/b.yaml\n"
        "endpoints:\n  Third:\n    url: https://c.example.com/\n    all_events: true\n"
    )
    given = {"ENDPOINT": endpoint_id, "DELIVERY": newest().id, "FILE": str(file)}
    words = [given.get(word, word) for word in f"{command} {CALLS[command]}".split()]

    def exit_code(scopes: set[TokenScope]) -> int:
        token = new_api(workspace, *scopes).token
        return Avra({"AVRA_URL": url, "AVRA_TOKEN": token}).run(*words).exit_code

    needed = documented()[command]
    assert [scope for scope in needed if exit_code({*TokenScope} - {scope}) != LACKS_A_SCOPE] == []
    other = new_api(workspace, TokenScope.EVENTS_ERASE).token
    refusal = Avra({"AVRA_URL": url, "AVRA_TOKEN": other}).run(*words).stderr
    named = set(re.findall("--scope ([a-z]+:[a-z]+)", refusal))
    assert named == needed
    # Nothing failed that could be recovered, as is said once the token may do it.
    assert exit_code(needed) == (os.EX_DATAERR if command == "recover" else os.EX_OK)
