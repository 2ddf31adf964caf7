"""`avra doctor` and `avra config`: what works, what does not, and no secret."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

from tests.cli.shell import Shell, shell_of
from tests.conftest import Workspace
from tests.db.postgresql_roles import url_of_one_who_owns_nothing
from tests.db.test_driver_errors import read_only
from tests.events.test_catalog_files import ORDERS
from tests.raising import raising
from tests.receivers import Answer, Receiver
from tests.redis_servers import redis_server
from tests.web.sign_in.lying_provider import LyingProvider
from webhooks_app import config
from webhooks_app.cli import show_config
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.jobs import alarms, open_files

OTHER_KEY = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def findings(shell: Shell, **environ: str) -> dict[str, tuple[str, str]]:
    """The worst that doctor finds of each subject."""
    result = shell.run("doctor", **environ)
    found: dict[str, tuple[str, str]] = {}
    for line in result.stdout.splitlines():
        status, subject, text = line[:7].strip(), line[9:20].strip(), line[22:]
        if status != "ok" or subject not in found:
            found[subject] = (status, text)
    has_failed = any(status == "FAILED" for status, _ in found.values())
    assert result.exit_code == int(has_failed), result.output
    return found


def test_a_deployment_that_works_gets_ok_on_all_lines(
    shell: Shell, workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    alarms.record_heartbeat(database, now=clock.now())

    found = findings(shell, WEBHOOKS_BASE_URL="https://hooks.example.com")

    assert {subject for subject, (status, _) in found.items() if status != "ok"} <= {"way out"}
    assert set(found) == {
        *("settings", "catalog", "database", "clock", "schema", "keys", "processes"),
        *("Redis", "open files", "way out", "mail"),
    }
    assert found["keys"][1] == "They open what is stored."
    assert found["catalog"][1] == "The built-in one: 19 event types."


@only_sqlite
def test_the_catalog_that_is_loaded_is_named_and_what_is_wrong_with_it(
    shell: Shell, app: Flask, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text("built_in = false\n" + ORDERS)
    assert findings(shell, WEBHOOKS_CATALOG=str(own))["catalog"] == ("ok", f"{own}: 1 event type.")
    own.write_text(ORDERS.replace("description =", "text ="))
    status, text = findings(shell, WEBHOOKS_CATALOG=str(own))["catalog"]
    assert status == "FAILED"
    assert text.startswith("own.toml:")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_role_that_cannot_take_values_out_of_statistics_is_told_of(
    shell: Shell, app: Flask, database_url: str
) -> None:
    assert findings(shell)["database"][0] == "ok"
    with url_of_one_who_owns_nothing(database_url) as url:
        status, text = findings(shell, DATABASE_URL=url)["database"]
    assert status == "warning"
    assert text.startswith("This role may not ANALYZE the table events")


def test_without_workers_it_says_so(shell: Shell, app: Flask) -> None:
    status, text = findings(shell)["processes"]
    assert status == "FAILED"
    assert "is running" in text


@only_sqlite
def test_keys_that_open_nothing_are_found(shell: Shell, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    status, text = findings(shell, WEBHOOKS_ENCRYPTION_KEYS=OTHER_KEY)["keys"]
    assert (status, "WEBHOOKS_ENCRYPTION_KEYS" in text) == ("FAILED", True)


@only_sqlite
def test_a_redis_that_is_gone_or_forbids_a_command_is_found(shell: Shell, app: Flask, tmp_path: Path) -> None:
    gone = findings(shell, REDIS_URL="redis://127.0.0.1:1/0")["Redis"]
    assert gone[0] == "FAILED"
    with redis_server(tmp_path / "redis", "--rename-command", "GETDEL", "") as (port, _):
        status, text = findings(shell, REDIS_URL=f"redis://127.0.0.1:{port}/0")["Redis"]
    assert (status, "getdel" in text.lower()) == ("FAILED", True)


@only_sqlite
def test_a_redis_that_drops_keys_is_warned_of(shell: Shell, app: Flask, tmp_path: Path) -> None:
    limit = ("--maxmemory", "100mb", "--maxmemory-policy")
    for policy, expected in (("allkeys-lru", "warning"), ("noeviction", "ok")):
        with redis_server(tmp_path / policy, *limit, policy) as (port, _):
            status, text_of = findings(shell, REDIS_URL=f"redis://127.0.0.1:{port}/0")["Redis"]
        assert (status, policy in text_of) == (expected, expected == "warning")


def test_a_database_that_was_not_migrated_is_found(redis_url: str, tmp_path: Path) -> None:
    shell = shell_of(f"sqlite:///{tmp_path / 'empty.db'}", redis_url, tmp_path)
    found = findings(shell)
    assert found["schema"][0] == "FAILED"
    assert "migrate" in found["schema"][1]
    assert found["Redis"][0] == "ok"


def test_a_database_that_does_not_answer_is_found_and_the_rest_is_tried(
    redis_url: str, tmp_path: Path
) -> None:
    shell = shell_of("postgresql://127.0.0.1:1/none", redis_url, tmp_path)
    found = findings(shell)
    assert found["database"][0] == "FAILED"
    assert found["Redis"][0] == "ok"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_takes_no_writes_is_found(
    shell: Shell, workspace: Workspace, database: WriteDatabase, database_url: str
) -> None:
    with raising(database, "process_reports", "53100"):
        found = findings(shell)
    assert found["database"] == ("FAILED", "It takes no writes: its disk is full.")
    assert found["keys"][0] == "ok"
    with read_only(database_url):
        assert findings(shell)["database"] == (
            "FAILED",
            "It takes no writes: it is read-only, as a standby is.",
        )


@only_sqlite
def test_a_setting_that_cannot_be_used_is_all_that_is_said(shell: Shell) -> None:
    assert findings(shell, PORT="x") == {
        "settings": ("FAILED", "PORT must be a whole number from 1 to 65535, not 'x'.")
    }


@only_sqlite
def test_a_mail_server_is_tried(shell: Shell, app: Flask) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        url = f"smtp://127.0.0.1:{taken.getsockname()[1]}"
        mail = {"WEBHOOKS_SMTP_URL": url, "WEBHOOKS_MAIL_FROM": "hooks@example.com"}
        assert findings(shell, **mail)["mail"][0] == "FAILED"


@only_sqlite
def test_the_provider_of_single_sign_on_is_tried(shell: Shell, app: Flask, receiver: Receiver) -> None:
    provider = LyingProvider(receiver)
    sign_on = {"WEBHOOKS_OIDC_ISSUER": provider.issuer, "WEBHOOKS_OIDC_CLIENT_ID": "avra"}
    assert findings(shell, **sign_on)["sign-on"][0] == "ok"
    provider.answers["/jwks"] = Answer(500)
    assert findings(shell, **sign_on)["sign-on"][0] == "FAILED"


@only_sqlite
def test_an_address_for_metrics_that_this_host_has_not_is_warned_of(shell: Shell, app: Flask) -> None:
    assert "metrics" not in findings(shell)
    assert findings(shell, WEBHOOKS_METRICS_LISTEN="127.0.0.1:9464")["metrics"][0] == "ok"
    elsewhere = findings(shell, WEBHOOKS_METRICS_LISTEN="192.0.2.77:9464")["metrics"]  # RFC 5737
    assert elsewhere == (
        "warning",
        "WEBHOOKS_METRICS_LISTEN is 192.0.2.77, no address of this host: a web does not start here.",
    )


@only_sqlite
def test_an_address_for_the_web_that_this_host_has_not_is_warned_of(shell: Shell, app: Flask) -> None:
    of_https = {"WEBHOOKS_BASE_URL": "https://hooks.example.com"}
    assert "web" not in findings(shell, WEBHOOKS_HOST="0.0.0.0", **of_https)
    assert findings(shell, WEBHOOKS_HOST="192.0.2.77", **of_https)["web"] == (
        "warning",
        "WEBHOOKS_HOST is 192.0.2.77, no address of this host: a web does not start here.",
    )


@only_sqlite
def test_a_limit_of_open_files_with_which_nothing_starts_is_a_failure(shell: Shell, app: Flask) -> None:
    environ = {name: value for name, value in shell.environ.items() if value is not None}
    doctor = f"ulimit -n {open_files.LEAST - 1} && exec {shlex.quote(sys.executable)} -m webhooks_app doctor"
    ran = subprocess.run(
        ["/bin/sh", "-c", doctor], env=os.environ | environ, capture_output=True, text=True, cwd=config.ROOT
    )
    [line] = [each for each in ran.stdout.splitlines() if each[9:20].strip() == "open files"]
    assert line.startswith("FAILED")
    assert f"at least {open_files.LEAST} are needed" in line
    assert ran.returncode == 1


@only_sqlite
def test_a_collector_that_takes_no_traces_is_warned_of(shell: Shell, app: Flask, receiver: Receiver) -> None:
    assert "traces" not in findings(shell)
    assert findings(shell, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)["traces"][0] == "ok"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        port = taken.getsockname()[1]
        status, text_of = findings(shell, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")["traces"]
    assert (status, f"127.0.0.1, port {port}" in text_of) == ("warning", True)
    for name, value in (("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"), ("OTEL_TRACES_EXPORTER", "jaeger")):
        status, text_of = findings(shell, **{name: value})["traces"]
        assert (status, "OTEL_" in text_of) == ("FAILED", True)


@only_sqlite
def test_an_address_for_metrics_that_cannot_be_listened_on_at_all_is_warned_of(
    shell: Shell, app: Flask
) -> None:
    """A link's own address without the link; where there is no IPv6, the family is what is missing."""
    status, text_of = findings(shell, WEBHOOKS_METRICS_LISTEN="[fe80::1]:9464")["metrics"]
    assert status == "warning"
    assert re.search(r"is fe80::1, where nothing can listen \([A-Z][a-z ]+\): a web", text_of)


def test_a_web_without_https_and_a_short_lease_are_warned_of(shell: Shell, app: Flask) -> None:
    assert findings(shell)["web"][0] == "warning"
    found = findings(shell, WEBHOOKS_BASE_URL="https://a.example", WEBHOOKS_LEASE_SECONDS="5")
    assert "WEBHOOKS_LEASE_SECONDS" in found["web"][1]


@only_sqlite
def test_the_settings_are_shown_without_secrets(shell: Shell) -> None:
    secrets = {
        "DATABASE_URL": "postgresql://me:s3cret@db.internal/hooks",
        "REDIS_URL": "rediss://me:s3cret@redis.internal:6380/1",
        "WEBHOOKS_SMTP_URL": "smtp://me:s3cret@mail.example.com:587",
        "WEBHOOKS_MAIL_FROM": "hooks@example.com",
        "WEBHOOKS_METRICS_TOKEN": "s3cret-s3cret-s3cret",
        "WEBHOOKS_OIDC_ISSUER": "https://login.example.com",
        "WEBHOOKS_OIDC_CLIENT_ID": "avra",
        "WEBHOOKS_OIDC_CLIENT_SECRET": "s3cret",
        "SECRET_KEY": "s3cret" * 6,
        "WEBHOOKS_WORKERS": "3",
    }
    printed = shell.done("config", **secrets)

    assert "s3cret" not in printed
    assert "MDEy" not in printed
    for part in ("db.internal/hooks", "redis.internal:6380/1", "mail.example.com:587", "smtp://", "me"):
        assert part in printed
    lines = {line.split()[0]: line for line in printed.splitlines()}
    assert lines["WEBHOOKS_WORKERS"].split() == ["WEBHOOKS_WORKERS", "3"]
    assert lines["WEBHOOKS_WEB_THREADS"].endswith("8  (default)")
    assert json.loads(shell.done("config", "--json", **secrets))["WEBHOOKS_WORKERS"] == "3"


def test_every_setting_is_shown() -> None:
    assert set(show_config._VALUES) == config.NAMES
