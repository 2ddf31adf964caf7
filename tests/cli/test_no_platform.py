"""A command in a folder in which no platform has begun says where to look, and leaves nothing there."""

from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.conftest import PASSWORD

ON_A_PLATFORM = (
    ("tokens", "list", "Acme"),
    ("tokens", "add", "Acme", "laptop"),
    ("workspaces", "list"),
    ("create-workspace", "Acme", "--admin", "ada@example.com", "--password", PASSWORD),
    ("members", "list", "Acme"),
    ("expire",),
    ("backup", "copy.db"),
    ("doctor",),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "instance"


@pytest.fixture
def shell(folder: Path) -> Shell:
    return Shell({"WEBHOOKS_INSTANCE": str(folder)})


@pytest.mark.parametrize("command", ON_A_PLATFORM, ids=lambda command: " ".join(command[:2]))
def test_what_works_on_a_platform_says_that_there_is_none(
    shell: Shell, folder: Path, command: tuple[str, ...]
) -> None:
    said = shell.refused(*command)

    assert f"There is no platform in {folder} (WEBHOOKS_INSTANCE). Where `avra run` was" in said
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize("command", [("config",), ("catalog", "check")], ids=lambda command: command[0])
def test_what_only_reads_settings_does_without_a_platform(
    shell: Shell, folder: Path, command: tuple[str, ...]
) -> None:
    shell.done(*command)

    assert list(folder.parent.iterdir()) == []


def test_migrate_begins_a_platform_and_its_keys_stay(shell: Shell, folder: Path) -> None:
    shell.done("migrate")
    keys = (folder / "encryption_keys").read_text()

    refused = shell.refused("tokens", "add", "Acme", "laptop")

    assert "`avra workspaces list` shows those there are, and `avra create-workspace` makes one" in refused
    assert (folder / "encryption_keys").read_text() == keys


def test_a_setting_that_cannot_be_used_is_said_first(shell: Shell, folder: Path) -> None:
    assert "WEBHOOKS_WORKERS must be" in shell.refused("workspaces", "list", WEBHOOKS_WORKERS="many")
    assert not folder.exists()
