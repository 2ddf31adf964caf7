"""Which addresses of a database are taken, and what is said of the others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.conftest import deployed
from webhooks_app.config import ROOT
from webhooks_app.core.setting_values import ConfigError
from webhooks_app.db import database_url

SERVER = "postgresql://me:hunter2@db.internal/hooks"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=3",
        "?host=a.internal&host=b.internal&port=5432&port=5433&target_session_attrs=read-write",
        "?options=-csearch_path%3Dwebhooks&application_name=avra",
    ],
)
def test_options_that_the_driver_knows_are_taken(query: str) -> None:
    assert database_url.parse("DATABASE_URL", SERVER + query).endswith(f"/hooks{query}")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?foo=hunter2", "DATABASE_URL has an option that is not known: foo."),
        ("?sslmod=require", "DATABASE_URL has an option that is not known: sslmod."),
        ("?prepare_threshold=0", "DATABASE_URL has an option that is not known: prepare_threshold."),
        ("?a%20b=1", "DATABASE_URL has an option that is not known: that."),
        ("?connect_timeout=soon", "DATABASE_URL has an option connect_timeout that is not a whole number."),
        ("?sslmode=require&sslmode=disable", "DATABASE_URL has the option sslmode twice."),
        (
            "?sslmode=maybe",
            "DATABASE_URL has an option sslmode that is not one of "
            "disable, allow, prefer, require, verify-ca, verify-full.",
        ),
    ],
)
def test_an_option_that_the_driver_would_refuse_is_named(query: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        database_url.parse("DATABASE_URL", SERVER + query)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "url",
    [
        *(SERVER, f"{SERVER}?host=a&host=b&sslmode=require", f"{SERVER}?options=-c%20a%3Db&user=x@y"),
        *("postgresql://me:p?ss&w=rd@db/hooks?port=1", "postgresql://db?port=1", "postgresql:///x?host=/a/b"),
        *(
            "postgresql://db/x?application_name=a://b@c?d",
            "postgresql://[::1]:5/x?sslmode=",
            "sqlite:////a?b=1",
        ),
    ],
)
def test_options_are_those_that_sqlalchemy_reads(url: str) -> None:
    assert database_url._options(url) == dict(make_url(url).query)


def test_what_is_known_without_libpq_is_known_to_it() -> None:
    assert database_url._all_options() >= database_url.USUAL_OPTIONS


def test_an_option_for_sqlite_that_would_do_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^DATABASE_URL has an option that is not known: mode\.$"):
        database_url.parse("DATABASE_URL", f"sqlite:///{tmp_path}/hooks.db?mode=ro")
    assert database_url.parse("DATABASE_URL", f"sqlite:///{tmp_path}/hooks.db?timeout=5")


def test_a_file_that_is_not_there_yet_is_taken(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    assert database_url.parse("DATABASE_URL", url) == url
    assert not (tmp_path / "new.db").exists()


def unusable(kind: str, folder: Path) -> tuple[str, str]:
    """A URL, and what is said of it."""
    path = folder / "hooks.db"
    if kind == "folder":
        path.mkdir()
        return f"sqlite:///{path}", f"'{path}' is a folder and not a file"
    if kind == "text":
        path.write_text("This is no database, and longer than the head of one would be. " * 20)
        return f"sqlite:///{path}", f"'{path}' is no SQLite database"
    if kind == "missing folder":
        return f"sqlite:///{folder}/none/hooks.db", f"the folder '{folder}/none' is not there"
    return f"{SERVER}?foo=1", "DATABASE_URL has an option that is not known: foo"


@pytest.mark.parametrize("command", ["web", "migrate"])
@pytest.mark.parametrize("kind", ["folder", "text", "missing folder", "option"])
def test_what_cannot_be_a_database_ends_a_process_with_one_sentence(
    kind: str, command: str, tmp_path: Path
) -> None:
    url, sentence = unusable(kind, tmp_path)
    done = start(command, url, tmp_path)
    assert done.returncode == os.EX_CONFIG
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def start(command: str, url: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    env = dict(os.environ) | deployed(url, "redis://127.0.0.1:1", folder)
    line = [sys.executable, "-m", "webhooks_app", command]
    return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


_AS_NOBODY = """
import os, sys
from webhooks_app.core.setting_values import ConfigError
from webhooks_app.db import database_url
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534); os.setuid(65534)
try:
    database_url.parse("DATABASE_URL", sys.argv[1])
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "sentence"),
    [
        (0o555, None, "this user may not write to the folder"),
        (0o777, 0o000, "this user may not read and write"),
        (0o777, 0o444, "this user may not read and write"),
    ],
)
def test_a_file_that_this_user_may_not_use_is_refused(
    folder_mode: int, file_mode: int | None, sentence: str, scratch: Path
) -> None:
    folder = scratch / f"of-others-{folder_mode:o}-{file_mode}"
    folder.mkdir()
    if file_mode is not None:
        (folder / "hooks.db").touch()
        (folder / "hooks.db").chmod(file_mode)
    folder.chmod(folder_mode)
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, f"sqlite:///{folder}/hooks.db"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert sentence in done.stdout
