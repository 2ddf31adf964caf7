"""What documents show to those who run a platform: commands, settings and answers that there are."""

import json
import re
import shlex
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from sqlalchemy import create_engine, make_url, text

from docs_site.navigation import ROOT
from tests.cli.shell import Shell, shell_of
from tests.conftest import Workspace
from tests.docs_site.code_blocks import block
from tests.postgresql_databases import autocommit
from webhooks_app import config
from webhooks_app.cli import profiles
from webhooks_app.cli import run as run_command
from webhooks_app.cli.profiles import Profile
from webhooks_app.db import database_url
from webhooks_app.db.models import Event
from webhooks_app.extensions import db, services
from webhooks_app.monitoring.problem_codes import ProblemCode

COMMENT = re.compile(r"\s{2,}#.*$", re.MULTILINE)


@pytest.fixture
def shell(database_url: str, redis_url: str, tmp_path: Path) -> Shell:
    return shell_of(database_url, redis_url, tmp_path)


def words(document: str, name: str) -> list[list[str]]:
    """Return the words of each command of a block behind `avra`."""
    lines = COMMENT.sub("", block(document, name)).replace(".venv/bin/avra", "avra").splitlines()
    return [shlex.split(line)[1:] for line in lines]


def test_the_readme_shows_what_a_start_prints() -> None:
    shown = {
        "email": "admin@example.com",
        "password": "w-P59XkZ4fTN-67d",
        "token": "tok_…",
        "example": '{"type": "batch-lifecycle", "data": {"batch_id": "batch_7Q2M", "status": "succeeded"}}',
    }
    printed = run_command._welcome("http://127.0.0.1:8000", 8001, shown)
    documented = block("README.md", "Console   http://127.0.0.1:8000")
    assert [line.strip() for line in documented.strip().splitlines()] == [
        line.strip() for line in printed.strip().splitlines()
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_documents_commands_add_tokens(shell: Shell, workspace: Workspace) -> None:
    name = ".venv/bin/avra tokens add Acme laptop --scope endpoints:read --scope endpoints:write"
    [command] = words("docs/producers.md", name)
    assert shell.done(*command).startswith("tok_")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_event_is_erased_as_shown(shell: Shell, workspace: Workspace) -> None:
    [event_id] = workspace.send()
    [command] = words("docs/retention.md", "avra events erase evt_0696ftbf2ajk5e13ck9l7g2lqs")
    assert "erased" in shell.done(*command[:-1], event_id, typed="y\n")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_is_taken_and_restored_as_shown(
    shell: Shell, workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    [event_id] = workspace.send()
    backup, restore = words("docs/production.md", "avra backup /backups/avra-2026-01-31")
    shell.done(backup[0], str(tmp_path / "avra-2026-01-31"))
    other = f"sqlite:///{tmp_path / 'other.db'}"
    shell_of(other, redis_url, tmp_path).done(restore[0], str(tmp_path / "avra-2026-01-31"))
    engine = create_engine(other)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM events")).scalars().all() == [event_id]
    engine.dispose()
    assert db.session.get_one(Event, event_id)


def test_profiles_are_read_as_shown(tmp_path: Path) -> None:
    environ = dict(
        shlex.split(line.removeprefix("export "))[0].split("=", 1)
        for line in block("docs/shell.md", "export AVRA_URL=https://webhooks.example.com").splitlines()
    )
    with pytest.raises(profiles.ProfileError, match="AVRA_TOKEN is the tok_… of an example"):
        profiles.read(environ)
    (tmp_path / "avra").mkdir()
    (tmp_path / "ca.pem").write_text("")
    file = tmp_path / "avra" / "config.toml"
    shown = block("docs/shell.md", 'default = "staging"')
    file.write_text(shown.replace("/etc/ssl/our-ca.pem", str(tmp_path / "ca.pem")).replace("tok_…", "tok_1"))
    file.chmod(0o600)
    read = {name: profiles.read({"XDG_CONFIG_HOME": str(tmp_path)}, name) for name in (None, "production")}
    assert read[None] == Profile("staging", "https://webhooks.staging.example.com", "tok_1")
    assert read["production"].ca_file == str(tmp_path / "ca.pem")


def test_the_settings_of_single_sign_on_are_taken(tmp_path: Path) -> None:
    shown = block("docs/sign-in.md", "WEBHOOKS_OIDC_ISSUER=https://login.example.com/realms/main")
    (tmp_path / "oidc").write_text("secret")
    given = dict(line.split("=", 1) for line in shown.splitlines())
    environ = {name: shlex.split(value)[0] for name, value in given.items()}
    environ["WEBHOOKS_OIDC_CLIENT_SECRET_FILE"] = str(tmp_path / "oidc")
    environ["WEBHOOKS_OIDC_GROUPS"] = environ["WEBHOOKS_OIDC_GROUPS"].replace("ws_06h…", f"ws_{'0' * 26}")
    assert environ.keys() <= config.NAMES
    assert config.read(environ | {"WEBHOOKS_INSTANCE": str(tmp_path)}).oidc is not None


def test_secrets_are_made_as_shown(tmp_path: Path) -> None:
    shown = block("docs/production.md", "python3 -c 'import secrets; print(secrets.token_urlsafe())'")
    lines = [line.replace("/srv/avra/bin/python", sys.executable) for line in shown.splitlines()]
    key, encryption_key = (
        subprocess.run(line, shell=True, check=True, capture_output=True, text=True).stdout.strip()
        for line in lines
    )
    environ = {"SECRET_KEY": key, "WEBHOOKS_ENCRYPTION_KEYS": encryption_key}
    config.read(environ | {"WEBHOOKS_INSTANCE": str(tmp_path), "DATABASE_URL": "sqlite:///x.db"})


def test_any_password_fits_into_a_url_as_shown(tmp_path: Path) -> None:
    """Also into a file of settings, of which shells, systemd and compose each read more than letters."""
    shown = block(
        "docs/production.md",
        "python3 -c 'import getpass, urllib.parse; print(urllib.parse.quote(getpass.getpass(), safe=\"\"))'",
    )
    assert shown.strip() in (ROOT / "deploy" / "avra.env.example").read_text()
    password = string.punctuation + " ä"
    done = subprocess.run(
        shown,
        shell=True,
        check=True,
        capture_output=True,
        text=True,
        input=password + "\n",
        start_new_session=True,  # one without a terminal, which it would ask otherwise
    )
    encoded = done.stdout.strip().removeprefix("Password: ")
    assert re.fullmatch(r"[A-Za-z0-9%._~-]+", encoded)
    url = f"postgresql://avra:{encoded}@db.internal/avra"
    assert make_url(database_url.parse("DATABASE_URL", url)).password == password


def test_what_is_shown_for_the_compose_file_fits_into_it() -> None:
    shown = yaml.safe_load(block("docs/catalog.md", "# compose.yaml, for each service"))
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    assert shown.keys() <= {"environment", "volumes"}
    assert shown["environment"].keys() <= config.NAMES
    [volume] = shown["volumes"]
    assert shown["environment"]["WEBHOOKS_CATALOG"] == volume.split(":")[1]
    assert isinstance(services["web"]["environment"], dict), "which these are added to"


def test_health_answers_as_it_is_shown(app: Flask) -> None:
    shown: dict[str, Any] = json.loads(
        block(
            "docs/operations.md",
            '{"status": "failing", "problems": ["No scheduler is running, so retries may be late.'
            ' Start `avra scheduler`."], "warnings": [],',
        )
    )
    services(app).wake_ups = type(services(app).wake_ups)("unix:///nowhere")
    answer = app.test_client().get("/healthz")
    body = answer.get_json()
    assert shown.keys() - {"…"} <= body.keys()
    assert (body["status"], answer.status_code) in {("failing", 503), ("warning", 200)}
    assert body["details"][0].keys() == shown["details"][0].keys()
    assert shown["details"][0]["code"] == ProblemCode.NO_SCHEDULER
    assert shown["problems"][0] in (ROOT / "webhooks_app" / "monitoring" / "process_problems.py").read_text()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_index_can_be_built_anew(app: Flask, database_url: str) -> None:
    autocommit(
        database_url, block("docs/operations.md", "REINDEX INDEX CONCURRENTLY ix_deliveries_by_endpoint;")
    )
