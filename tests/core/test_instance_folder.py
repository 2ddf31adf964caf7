"""The folder of the embedded set-up is its owner's alone, and says what is wrong with it."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.conftest import unavailable
from tests.small_disks import small_disk
from webhooks_app import config
from webhooks_app.config import ConfigError
from webhooks_app.core import instance_folder
from webhooks_app.db import database_url

NAMES = [
    "secret_key",
    "encryption_keys",
    "demo.json",
    "run.lock",
    "webhooks.db",
    "webhooks.db-wal",
    "redis.log",
]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """An instance folder as an archive or `umask 000` leaves it."""
    folder = tmp_path / "instance"
    (folder / "appendonlydir").mkdir(parents=True)
    for name in (*NAMES, "appendonlydir/base.aof"):
        (folder / name).write_text("x" * 40)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    return folder


def test_what_others_could_read_is_closed_to_them_at_start(open_folder: Path) -> None:
    assert instance_folder.ensure_writable(open_folder) == []
    assert mode(open_folder) == mode(open_folder / "appendonlydir") == 0o700
    assert {mode(open_folder / name) for name in (*NAMES, "appendonlydir/base.aof")} == {0o600}


def test_a_folder_that_holds_other_things_keeps_its_rights_and_is_warned_of(open_folder: Path) -> None:
    (open_folder / "photos").mkdir(mode=0o755)

    [warning] = instance_folder.ensure_writable(open_folder)

    assert "'photos'" in warning
    assert mode(open_folder) == 0o777
    assert mode(open_folder / "photos") == 0o755
    assert mode(open_folder / "secret_key") == 0o600


def test_what_a_link_leads_to_keeps_its_rights(open_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x")
    (tmp_path / "elsewhere").chmod(0o644)
    (open_folder / "redis.log").unlink()
    (open_folder / "redis.log").symlink_to(tmp_path / "elsewhere")

    instance_folder.ensure_writable(open_folder)

    assert mode(tmp_path / "elsewhere") == 0o644


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_new_files_are_their_owners_alone_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        config.read({"WEBHOOKS_INSTANCE": str(tmp_path / "instance")})
    finally:
        os.umask(before)
    assert mode(tmp_path / "instance") == 0o700
    assert {mode(path) for path in (tmp_path / "instance").iterdir()} == {0o600}


AS_NOBODY = """
import os, sys
from webhooks_app.core import instance_folder
from webhooks_app.db import database_url
from pathlib import Path
os.setgid(65534); os.setuid(65534)
try:
    print(instance_folder.ensure_writable(Path(sys.argv[1])))
except instance_folder.ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (1, "belongs to another user (daemon); run this as that user, or set WEBHOOKS_INSTANCE to another."),
        (0, "is open to other users and stays so, as it belongs to root"),
        (65534, "[]"),
    ],
)
def test_a_folder_of_another_user_is_refused_by_name(
    open_folder: Path, scratch: Path, owner: int, expected: str
) -> None:
    if os.geteuid() != 0:
        unavailable("The right to give a folder away", "run this test as root.")
    folder = open_folder.rename(scratch / f"of-{owner}")  # whose parents others may enter
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, 0)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(folder)],
        cwd=config.ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert expected in done.stdout, done.stderr


@pytest.fixture
def full_disk(scratch: Path) -> Iterator[Path]:
    with small_disk(scratch / "full-disk", megabytes=4) as folder:
        yield folder


def test_a_disk_without_room_is_said_at_start(full_disk: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be written \(No space left on device\)"):
        instance_folder.lock(full_disk)
    assert list(full_disk.iterdir()) == []
    with suppress(OSError):
        (full_disk / "run.lock").write_bytes(bytes(8 * 1024 * 1024))
    with pytest.raises(ConfigError, match="No space left on device"):
        config.read({"WEBHOOKS_INSTANCE": str(full_disk)})
    assert [path.name for path in full_disk.iterdir()] == ["run.lock"]


@pytest.mark.parametrize("name", ["plain", "a?b", "a%3Fb", "a%20b", "100 % a", "ü#&=", "file:x"])
def test_the_database_is_in_the_folder_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    engine = create_engine(database_url.of_file(instance_folder.database_file(tmp_path / name)))
    (tmp_path / name).mkdir()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE any_table (id INTEGER)"))
    engine.dispose()
    assert (tmp_path / name / "webhooks.db").stat().st_size
