"""Backups of both databases: whole, of one moment, made while events come and deliveries go."""

import stat
import string
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import create_engine, make_url, text

from tests.conftest import Workspace, alone, make_settings, new_engine, opened
from tests.deploy.programs import postgresql_programs
from tests.patience import patient_app
from tests.postgresql_databases import autocommit
from tests.receivers import Receiver
from webhooks_app.core.encryption import Cipher
from webhooks_app.db import backups
from webhooks_app.db.backups import BackupFailed
from webhooks_app.endpoints import key_rotation
from webhooks_app.extensions import services

HALF_EVENTS = (
    "SELECT count(*) FROM events e WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id)"
)


@pytest.fixture(autouse=True)
def with_postgresql_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(postgresql_programs()), prepend=":")


@pytest.fixture
def empty_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    """An empty database of the same kind."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'restored.db'}"
        return
    name = f"{make_url(database_url).database}_restored"
    drop = f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'
    autocommit(database_url, drop, f'CREATE DATABASE "{name}"')
    yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
    autocommit(database_url, drop)


@pytest.fixture
def reopen(redis_url: str, tmp_path: Path) -> Callable[[str], Flask]:
    return lambda url: patient_app(make_settings(url, redis_url, tmp_path))


def scalar(app: Flask, statement: str) -> object:
    with services(app).read.connect() as connection:
        return connection.scalar(text(statement))


def test_a_backup_made_under_load_holds_whole_events_and_each_that_came_before(
    app: Flask,
    workspace: Workspace,
    receiver: Receiver,
    database_url: str,
    empty_url: str,
    reopen: Callable[[str], Flask],
    tmp_path: Path,
) -> None:
    workspace.endpoint(receiver.url)
    before = workspace.send(200)
    stopped = threading.Event()

    def go_on_sending() -> None:
        with app.app_context():
            while not stopped.is_set():
                workspace.send(20)

    sender = threading.Thread(target=go_on_sending)
    sender.start()
    try:
        backups.make(database_url, tmp_path / "backup")
    finally:
        stopped.set()
        sender.join()
    backups.restore(empty_url, tmp_path / "backup")

    with opened(reopen(empty_url)) as restored:
        assert scalar(restored, HALF_EVENTS) == 0
        ids = ", ".join(f"'{event_id}'" for event_id in before)
        assert scalar(restored, f"SELECT count(*) FROM events WHERE id IN ({ids})") == len(before)
        assert scalar(restored, "SELECT count(*) FROM deliveries WHERE state = 'pending'")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_names_and_passwords_may_hold_whatever_postgresql_takes(
    workspace: Workspace, database_url: str, tmp_path: Path
) -> None:
    workspace.send(3)
    plain = make_url(database_url)
    odd = f"{plain.database} + %20'odd'"
    role = f'"{odd} role"'
    drop = f'DROP DATABASE IF EXISTS "{odd}" WITH (FORCE)', f"DROP ROLE IF EXISTS {role}"
    with alone("odd-role"):
        autocommit(database_url, *drop, f"CREATE ROLE {role} LOGIN SUPERUSER", f'CREATE DATABASE "{odd}"')
        try:
            theirs = plain.set(username=f"{odd} role", password=string.punctuation + " ä")
            theirs = theirs.update_query_dict({"application_name": "back up + more"})
            backups.make(theirs.render_as_string(hide_password=False), tmp_path / "backup")
            url = theirs.set(database=odd).render_as_string(hide_password=False)
            backups.restore(url, tmp_path / "backup")
            engine = create_engine(url)
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT count(*) FROM events")) == 3
            engine.dispose()
        finally:
            autocommit(database_url, *drop)


def test_what_waited_is_sent_from_the_restored_database(
    workspace: Workspace,
    receiver: Receiver,
    database_url: str,
    empty_url: str,
    reopen: Callable[[str], Flask],
    tmp_path: Path,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(3)
    backups.make(database_url, tmp_path / "backup")
    backups.restore(empty_url, tmp_path / "backup")

    with opened(reopen(empty_url)) as restored, new_engine(restored) as engine:
        engine.run(seconds=30)
        assert len(receiver.received) == 3
        assert scalar(restored, "SELECT count(*) FROM deliveries WHERE state <> 'delivered'") == 0


def test_a_backup_is_for_its_owner_and_replaces_nothing(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "backup"
    backups.make(database_url, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(BackupFailed, match="is there already"):
        backups.make(database_url, path)
    with pytest.raises(BackupFailed, match="cannot be written: No such file or directory"):
        backups.make(database_url, tmp_path / "missing" / "backup")
    assert [one.name for one in tmp_path.iterdir() if "backup" in one.name] == ["backup"]


def test_nothing_is_brought_back_over_what_is_there(app: Flask, database_url: str, tmp_path: Path) -> None:
    backups.make(database_url, tmp_path / "backup")
    with pytest.raises(BackupFailed, match=r"is there already|is not empty"):
        backups.restore(database_url, tmp_path / "backup")


def test_what_is_no_backup_or_of_the_other_kind_is_refused(
    app: Flask, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "backup"
    with pytest.raises(BackupFailed, match="cannot be read: No such file"):
        backups.restore(empty_url, path)
    path.write_bytes(b"tar")
    with pytest.raises(BackupFailed, match="is no backup"):
        backups.restore(empty_url, path)
    is_sqlite = database_url.startswith("sqlite")
    path.write_bytes(b"PGDMP\x01" if is_sqlite else b"SQLite format 3\0")
    with pytest.raises(BackupFailed, match=r"is a backup of a (SQLite|PostgreSQL) database"):
        backups.restore(empty_url, path)


def test_a_damaged_backup_leaves_the_database_empty(
    app: Flask, workspace: Workspace, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "backup"
    backups.make(database_url, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    with pytest.raises(BackupFailed):
        backups.restore(empty_url, path)
    if empty_url.startswith("sqlite"):
        assert not (tmp_path / "restored.db").exists()
        return
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_class WHERE relname = 'events'")) == 0
    engine.dispose()


def test_secrets_that_no_key_opens_are_counted(app: Flask, workspace: Workspace, receiver: Receiver) -> None:
    workspace.endpoint(receiver.url)
    databases = services(app).databases
    assert key_rotation.count_values_of_lost_keys(databases, services(app).cipher) == 0
    assert key_rotation.count_values_of_lost_keys(databases, Cipher([Fernet.generate_key().decode()])) > 0
