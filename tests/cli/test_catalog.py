"""`avra catalog check` and `avra catalog diff`."""

import json
from pathlib import Path

import pytest
from flask import Flask

from tests.cli.shell import Shell
from tests.conftest import Workspace
from tests.docs_site.code_blocks import block
from webhooks_app.events.catalog import CATALOG_PATH

ENTRY = """
[[event_types]]
name = "batch-request"
group = "batches"
description = "Requested"
schema = '{"type": "object", "required": ["batch_id", "reason"]}'
example = '{"batch_id": "b", "reason": "r"}'
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(ENTRY)
    return path


def test_a_good_file_passes(shell: Shell, path: Path) -> None:
    assert shell.done("catalog", "check", str(path)) == "Nothing is wrong: 19 event types in 4 groups.\n"
    assert "19 event types" in shell.done("catalog", "check")
    assert "19 event types" in shell.done("catalog", "check", WEBHOOKS_CATALOG=str(path))


def test_all_that_is_wrong_is_printed(shell: Shell, path: Path) -> None:
    path.write_text(ENTRY.replace("batches", "nope").replace('"r"}', '"r"'))
    result = shell.run("catalog", "check", str(path))

    assert result.exit_code == 78
    assert [line.partition(" ")[0] for line in result.stderr.splitlines()] == ["own.toml:4:", "own.toml:7:"]
    assert "own.toml:4" in shell.refused("catalog", "diff", str(path))
    assert "does not exist" in shell.refused("catalog", "check", str(path.with_name("none.toml")))


def test_a_change_says_what_breaks_for_whom(
    shell: Shell, app: Flask, workspace: Workspace, path: Path
) -> None:
    named = workspace.endpoint(
        "http://127.0.0.1:9/", name="Jobs", all_events=False, event_types=["batch-request"]
    )
    workspace.endpoint("http://127.0.0.1:9/", name="Everything")

    result = shell.run("catalog", "diff", str(path), "--json")

    assert result.exit_code == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["event_type"] for row in rows} == {"batch-request"}
    assert (rows[0]["change"], rows[0]["what"]) == ("required", "data.reason")
    assert rows[0]["endpoints"] == [f"Acme: Jobs ({named})"]
    assert "Beside those named, 1 more that get all events." in result.stderr

    path.write_text(
        "built_in = false\n" + CATALOG_PATH.read_text().replace('"batch-request"', '"batch-wish"')
    )
    table = shell.run("catalog", "diff", str(path)).stdout
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [["removed", "batch-request"]]
    assert f"Acme: Jobs ({named})" in table


def test_nothing_breaks_where_nothing_changes(shell: Shell, app: Flask, path: Path) -> None:
    path.write_text("")
    result = shell.run("catalog", "diff", str(path))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Nothing breaks.\n")


def test_the_documents_commands_check_its_example(
    shell: Shell, app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orders.toml").write_text(block("docs/catalog.md", "[[groups]]"))
    monkeypatch.chdir(tmp_path)
    check, diff = (
        line.partition("#")[0].split()[1:]
        for line in block("docs/catalog.md", "avra catalog check orders.toml").splitlines()
    )
    assert "Nothing is wrong: 20 event types" in shell.done(*check)
    assert shell.run(*diff).stderr == "Nothing breaks.\n"
