"""What goes wrong while a file is applied: what was done is known, and running it again does the rest."""

import json
import os
import signal
import subprocess
import sys
import threading
from io import BytesIO
from wsgiref.types import WSGIEnvironment

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.cli.operator import FILE, Operator
from tests.conftest import Workspace
from tests.reading import json_of
from tests.test_packages import ROOT
from webhooks_app.extensions import services

THREE = "version: 1\nendpoints:\n" + "".join(
    f"  {name}: {{url: https://a.example.com/, all_events: true}}\n" for name in "ABC"
)


def test_what_changed_meanwhile_is_left_and_seen_the_next_time(operator: Operator, app: Flask) -> None:
    operator.apply(FILE)

    path = f"/endpoints/{operator.endpoints()['Audit']['id']}"
    operator.before_put["Audit"] = lambda _: _is_done(
        operator.api.call("PATCH", path, {"rate_per_second": 3})
    )
    other = FILE.replace("seconds: 10", "seconds: 9")
    said = operator.apply(other.replace("[batch-lifecycle]", "[batch-request]"), exit_code=1)
    assert "Done: change Billing" in said
    assert "Failed: change Audit: It was changed meanwhile. Run it again" in said
    assert "1 done, 1 failed" in said
    assert operator.endpoints()["Audit"]["timeout_seconds"] == 10

    said = operator.apply(other.replace("[batch-lifecycle]", "[batch-request]"))
    assert "~ rate_per_second: 3 → none" in said and "Done: 1." in said


def test_one_that_fails_does_not_keep_the_others(
    operator: Operator, app: Flask, workspace: Workspace
) -> None:
    def add_twins(_: object) -> None:
        for _ in range(2):
            workspace.endpoint("https://a.example.com/", name="B")

    operator.before_put["B"] = add_twins
    said = operator.apply(THREE, exit_code=1)
    assert "Done: create A\nFailed: create B: name: There are several" in said
    assert "Done: create C" in said and "2 done, 1 failed" in said
    assert "several endpoints of this name" in operator.apply(THREE, "--dry-run", exit_code=65)


def test_a_token_that_is_revoked_on_the_way_stops_it(
    operator: Operator, app: Flask, workspace: Workspace
) -> None:
    def revoke(_: object) -> None:
        with services(app).write.begin() as connection:
            connection.exec_driver_sql("UPDATE api_tokens SET revoked_at = created_at")

    operator.before_put["A"] = revoke
    said = operator.apply(THREE, exit_code=1)
    # A request that has begun is finished.
    assert "Failed: create" in said and "This API token is not valid." in said and "not tried" in said


def test_an_answer_that_is_lost_is_no_failure(operator: Operator, app: Flask, workspace: Workspace) -> None:
    def lose_answer(environ: WSGIEnvironment) -> None:
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = BytesIO(body)
        b"".join(app(environ | {"wsgi.input": BytesIO(body)}, lambda *_: lambda _: None))

    operator.before_put["B"] = lose_answer
    path = operator.folder / "secrets"
    assert "Done: 3." in operator.apply(THREE, "--secrets-file", str(path))
    written = {each["name"]: each for each in map(json.loads, path.read_text().splitlines())}
    assert set(written) == {"A", "B", "C"}
    secrets = json_of(operator.api.get(f"/endpoints/{written['B']['id']}/secrets"))["data"]
    assert written["B"]["secret"] == secrets[0]["secret"]


def _is_done(answer: TestResponse) -> None:
    assert answer.status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_interrupted_it_says_what_was_done_and_what_not(operator: Operator, app: Flask) -> None:
    path = operator.write(THREE)
    process = subprocess.Popen(
        [sys.executable, "-m", "webhooks_app", "apply", path],
        env=operator.env | {"PATH": ""},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    has_ended = threading.Event()

    def interrupt(_: object) -> None:
        process.send_signal(signal.SIGINT)
        has_ended.wait(180)

    operator.before_put["B"] = interrupt
    said, _ = process.communicate(timeout=180)
    has_ended.set()
    assert process.returncode == 130, said
    assert "Done: create A" in said
    assert "1 done, 1 unknown, 1 not tried. Run it again" in said
    assert "Traceback" not in said

    operator.apply(THREE)
    assert set(operator.endpoints()) == {"A", "B", "C"}
    assert "No changes" in operator.apply(THREE, "--dry-run")


def test_a_full_disk_stops_before_more_secrets_are_lost(operator: Operator) -> None:
    said = operator.apply(THREE, "--secrets-file", "/dev/full", exit_code=73)
    assert "Nothing was changed." in said  # it is no file

    path = operator.folder / "secrets"
    operator.before_put["B"] = lambda _: os.truncate(path, 0)  # whatever happens to it, the rest is written
    operator.apply(THREE, "--secrets-file", str(path))
    assert [json.loads(line)["name"] for line in path.read_text().splitlines()] == ["B", "C"]


def test_a_secret_that_cannot_be_kept_is_said(operator: Operator) -> None:
    process = subprocess.run(
        [sys.executable, "-c", _WITH_SMALL_FILES, "apply", operator.write(THREE), "--secrets-file", "s"],
        env=operator.env | {"PATH": "", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=operator.folder,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert process.returncode == 1, process.stderr
    assert "s cannot be written: File too large. Read the secret of" in process.stderr
    assert "Run it again" in process.stderr and "Traceback" not in process.stderr


_WITH_SMALL_FILES = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
from webhooks_app.cli.main import main
main()
"""
