"""The instance folder as the settings make it, and the secrets that the first run makes there."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.test_config import KEYS, SECRETS, line_of, read


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return tmp_path / "instance"


def test_the_first_embedded_run_makes_secrets_for_its_owner_alone(instance: Path) -> None:
    settings = read(instance)
    for name, held in (("secret_key", settings.secret_key), ("encryption_keys", settings.encryption_keys[0])):
        path = instance / name
        assert path.read_text() == held
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(instance.stat().st_mode) == 0o700
    assert len(settings.secret_key) >= 43  # 256 bits
    Fernet(settings.encryption_keys[0])


def test_later_runs_keep_the_secrets(instance: Path) -> None:
    first = read(instance)
    assert read(instance) == first


def test_each_instance_makes_its_own_secrets(tmp_path: Path) -> None:
    one, other = read(tmp_path / "one"), read(tmp_path / "other")
    assert one.secret_key != other.secret_key
    assert one.encryption_keys != other.encryption_keys


def test_secrets_that_are_given_are_not_written_down(instance: Path) -> None:
    settings = read(instance, SECRETS)
    assert settings.secret_key == SECRETS["SECRET_KEY"]
    assert sorted(path.name for path in instance.iterdir()) == []


@pytest.mark.parametrize("missing", SECRETS)
def test_secrets_are_demanded_where_a_database_is_given(instance: Path, missing: str) -> None:
    environ = SECRETS | {"DATABASE_URL": "postgresql://db.internal/hooks"}
    del environ[missing]
    assert line_of(instance, environ) == f"{missing} must be set when DATABASE_URL is."
    assert not instance.exists()


def test_secrets_of_an_earlier_embedded_run_are_not_taken_for_a_given_database(instance: Path) -> None:
    read(instance)
    assert "must be set" in line_of(instance, {"DATABASE_URL": "postgresql://db.internal/hooks"})


def test_a_damaged_secret_file_is_refused_rather_than_replaced(instance: Path) -> None:
    read(instance)
    (instance / "encryption_keys").write_text("damaged")
    assert "WEBHOOKS_ENCRYPTION_KEYS" in line_of(instance, {})
    assert (instance / "encryption_keys").read_text() == "damaged"


@pytest.mark.parametrize("name", ["secret_key", "encryption_keys"])
@pytest.mark.parametrize("content", [None, b"\xff" * 60])
def test_a_secret_that_cannot_be_read_is_refused_in_one_line(
    instance: Path, name: str, content: bytes | None
) -> None:
    instance.mkdir()
    if content is None:
        (instance / name).mkdir()
    else:
        (instance / name).write_bytes(content)
    line = line_of(instance, {})
    assert f"/{name}' cannot be read" in line
    assert "\n" not in line


@pytest.mark.parametrize("is_emptied", [False, True])
def test_no_new_keys_are_made_for_a_database_that_has_some(instance: Path, is_emptied: bool) -> None:
    read(instance)
    with closing(sqlite3.connect(instance / "webhooks.db")) as database:
        database.execute("CREATE TABLE signing_secrets (id)")
    (instance / "encryption_keys").unlink()
    if is_emptied:
        (instance / "encryption_keys").touch()
    assert "encryption_keys' is gone" in line_of(instance, {})
    assert read(instance, {"WEBHOOKS_ENCRYPTION_KEYS": KEYS[0]}).encryption_keys == (KEYS[0],)


def test_a_first_run_that_was_cut_short_is_made_good_by_the_next(instance: Path) -> None:
    instance.mkdir()
    (instance / "secret_key").touch(mode=0o600)
    assert len(read(instance).secret_key) >= 43


@pytest.mark.parametrize("below", ["", "below", "far/below"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("a regular file")
    folder = tmp_path / "file" / below
    line = line_of(folder, {})
    assert str(folder) in line
    assert "WEBHOOKS_INSTANCE" in line
    assert "\n" not in line


def test_the_folder_is_made_with_its_parents_and_left_clean(tmp_path: Path) -> None:
    folder = tmp_path / "far" / "below"
    read(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["encryption_keys", "secret_key"]


def test_a_relative_folder_is_taken_from_where_the_process_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(Path("here")).instance == tmp_path / "here"


def test_a_given_database_needs_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a regular file")
    settings = read(
        tmp_path / "file",
        SECRETS | {"DATABASE_URL": "postgresql://db.internal/hooks", "REDIS_URL": "redis://redis.internal"},
    )
    assert not settings.embedded_database
