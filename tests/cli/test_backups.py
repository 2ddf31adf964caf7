"""`avra backup` and `avra restore`, as an operator meets them."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet
from flask import Flask

from tests.conftest import Workspace, deployed
from tests.receivers import Receiver
from webhooks_app.cli.main import main
from webhooks_app.cli.schema import downgrade


@pytest.fixture
def environment(database_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    return deployed(database_url, redis_url, tmp_path)


def run(environment: dict[str, str], *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=environment)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_comes_back_into_another_database(
    environment: dict[str, str], workspace: Workspace, receiver: Receiver, tmp_path: Path
) -> None:
    workspace.endpoint(receiver.url)
    made = run(environment, "backup", tmp_path / "backup")
    assert made.exit_code == 0, made.output
    assert "WEBHOOKS_ENCRYPTION_KEYS is needed, too" in made.output

    other = environment | {"DATABASE_URL": f"sqlite:///{tmp_path / 'other.db'}"}
    back = run(other, "restore", tmp_path / "backup")
    assert back.exit_code == 0, back.output
    assert "Start the processes" in back.output

    again = run(other, "restore", tmp_path / "backup")
    assert again.exit_code == 1
    assert "is there already" in again.output


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_missing_keys_are_said_before_anything_starts(
    environment: dict[str, str], workspace: Workspace, receiver: Receiver, tmp_path: Path
) -> None:
    workspace.endpoint(receiver.url)
    run(environment, "backup", tmp_path / "backup")
    other = environment | {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'other.db'}",
        "WEBHOOKS_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    }
    result = run(other, "restore", tmp_path / "backup")
    assert result.exit_code == 1
    assert "No key in WEBHOOKS_ENCRYPTION_KEYS opens" in result.output


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_one_of_the_version_before_is_brought_back_and_says_that_it_has_to_be_migrated(
    environment: dict[str, str], app: Flask, tmp_path: Path
) -> None:
    with app.app_context():
        downgrade(revision="0037")
    assert run(environment, "backup", tmp_path / "backup").exit_code == 0
    other = environment | {"DATABASE_URL": f"sqlite:///{tmp_path / 'other.db'}"}
    back = run(other, "restore", tmp_path / "backup")
    assert back.exit_code == 0, back.output
    assert "run `avra migrate`" in back.output
    assert run(other, "migrate").exit_code == 0
    assert run(other, "users", "list").exit_code == 0


def test_what_cannot_be_done_is_said_in_one_line(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "backup").write_bytes(b"")
    for command in ("backup", "restore"):
        result = run(environment, command, tmp_path / "backup")
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert result.output.count("\n") == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_missing_program_is_named(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(environment, "backup", tmp_path / "backup")
    assert "pg_dump is not installed" in result.output
