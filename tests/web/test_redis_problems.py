"""Whatever is the matter with Redis: events are accepted, and health and console say what is true."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from tests.conftest import Workspace
from tests.free_ports import free_port
from tests.patience import PATIENT_GROUPS, PATIENT_WAKE_LIMITS
from tests.reading import json_of
from tests.redis_servers import client, listener, redis_server, tls_in_front_of
from tests.web.conftest import Page
from webhooks_app.extensions import attach_services, db, services
from webhooks_app.jobs.wake_limits import DEFAULT_LIMITS


@contextmanager
def replica(folder: Path) -> Iterator[str]:
    with redis_server(folder, "--replicaof", "127.0.0.1", "1") as (port, _):
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def full(folder: Path) -> Iterator[str]:
    with redis_server(folder, "--maxmemory", "1") as (port, _):
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def password(folder: Path) -> Iterator[str]:
    with redis_server(folder, "--requirepass", "secret") as (port, _):
        yield f"redis://:wrong@127.0.0.1:{port}"


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    with redis_server(folder, "--cluster-enabled", "yes") as (port, _):
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def rights(folder: Path) -> Iterator[str]:
    with redis_server(folder) as (port, _), client(port) as redis:
        redis.acl_setuser("app", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-rpush"])
        yield f"redis://app:any@127.0.0.1:{port}"


@contextmanager
def database(folder: Path) -> Iterator[str]:
    with redis_server(folder) as (port, _):
        yield f"redis://127.0.0.1:{port}/16"


@contextmanager
def hanging(folder: Path) -> Iterator[str]:
    with redis_server(folder) as (port, process):
        os.kill(process.pid, signal.SIGSTOP)
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def certificate(folder: Path) -> Iterator[str]:
    with redis_server(folder) as (port, _), tls_in_front_of(port, folder) as (tls_port, _):
        yield f"rediss://127.0.0.1:{tls_port}"


@contextmanager
def other(folder: Path) -> Iterator[str]:
    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(1000)
            connection.sendall(b"220 mail.example.com ESMTP\r\n")

    with listener(answer) as port:
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def gone(folder: Path) -> Iterator[str]:
    yield f"redis://127.0.0.1:{free_port()}"


PROBLEMS: Mapping[str, tuple[Callable[[Path], AbstractContextManager[str]], str]] = {
    "replica": (replica, "Redis refuses writes: it is a read-only replica."),
    "full": (full, "Redis refuses writes: its memory is full."),
    "password": (password, "Redis refuses the user name or password of REDIS_URL."),
    "cluster": (cluster, "Redis runs in cluster mode, which is not supported; set REDIS_URL to another."),
    "rights": (rights, "The user of REDIS_URL may not send RPUSH; docs/production.md lists the commands"),
    "database": (database, "Redis has no database of the number in REDIS_URL."),
    "hanging": (hanging, "Redis does not answer."),
    "certificate": (certificate, "The certificate of Redis is not trusted: self-signed certificate;"),
    "something else": (other, "What answers at REDIS_URL is not a Redis."),
    "gone": (gone, "Redis cannot be reached: Connection refused."),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", PROBLEMS)
def test_events_are_accepted_and_health_and_console_say_what_is_the_matter(
    app: Flask, workspace: Workspace, admin_page: Page, tmp_path: Path, what: str
) -> None:
    break_it, text = PROBLEMS[what]
    workspace.endpoint("http://127.0.0.1:9/")
    with break_it(tmp_path / "redis") as url:
        settings = replace(services(app).settings, redis_url=url)
        wake_limits = DEFAULT_LIMITS if what == "hanging" else PATIENT_WAKE_LIMITS
        attach_services(app, settings, db.engine, wake_limits=wake_limits, group_limits=PATIENT_GROUPS)
        began = time.monotonic()
        workspace.send()
        assert time.monotonic() - began < 60
        assert services(app).wake_ups.backoff.is_failing

        answer = app.test_client().get("/healthz")
        assert answer.status_code == 503
        assert json_of(answer)["redis"] is False
        [problem] = [each for each in json_of(answer)["problems"] if "Redis" in each or "REDIS" in each]
        assert problem.startswith(text)
        assert problem.endswith(" Events are still accepted.")
        assert app.test_client().get("/healthz/web").status_code == 200
        assert text in admin_page.get("").text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_console_whose_redis_is_well_says_and_asks_nothing(
    app: Flask, admin_page: Page, workspace: Workspace, redis_url: str
) -> None:
    workspace.send()
    assert "Deliveries may be late" not in admin_page.get("").text
    assert services(app).wake_ups.known_problem() is None
