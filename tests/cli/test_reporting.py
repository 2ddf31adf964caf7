"""Real processes report of themselves: what they counted adds up, and a dead one shows in time."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import requests
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Workspace, deployed, new_workspace, opened
from tests.free_ports import free_port
from tests.patience import patient_app
from tests.platform_process import PlatformProcess, without_settings
from tests.reading import output_of
from tests.receivers import Receiver
from tests.redis_servers import redis_server
from tests.waiting import wait_for
from webhooks_app import config
from webhooks_app.monitoring.own_report import REPORT_SECONDS
from webhooks_app.monitoring.reports import SILENT_AFTER

TOKEN = "0123456789abcdef"
EVENT = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}

pytestmark = pytest.mark.long


class Platform:
    """The processes of a deployment, each started and killed at will."""

    def __init__(self, environ: dict[str, str], port: int) -> None:
        self.environ = without_settings() | environ | {"PORT": str(port), "PYTHONUNBUFFERED": "1"}
        self.url = f"http://127.0.0.1:{port}"
        self._processes: list[PlatformProcess] = []

    def start(self, *command: str, **environ: str) -> PlatformProcess:
        process = PlatformProcess(*command, environ=self.environ | environ)
        self._processes.append(process)
        assert output_of(process).readline() == "ready\n"
        return process

    def kill(self, process: PlatformProcess) -> None:
        """Kill it and all that it started, as the loss of a host does."""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(process.pid)
            for each in [first, *first.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        process.wait(30)
        output_of(process).close()

    def end_all(self) -> None:
        for each in self._processes:
            self.kill(each)

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(f"{self.url}/healthz", timeout=180).json()
        return answer

    def codes(self) -> list[str]:
        return [each["code"] for each in self.health()["details"]]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of what has the labels."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = requests.get(f"{self.url}/metrics", headers=headers, timeout=180)
        assert answer.status_code == 200, answer.text
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture
def app(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Flask]:
    settings = config.read(deployed(database_url, redis_url, tmp_path))
    with opened(patient_app(settings)) as app:
        yield app


@pytest.fixture
def platform(app: Flask, database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Platform]:
    environ = deployed(database_url, redis_url, tmp_path) | {"WEBHOOKS_METRICS_TOKEN": TOKEN}
    running = Platform(environ, free_port())
    yield running
    running.end_all()


def send(platform: Platform, workspace: Workspace, count: int) -> None:
    for _ in range(count):
        headers = workspace.headers | {"Idempotency-Key": uuid4().hex}
        wait_for(lambda: _is_taken(platform, headers))  # noqa: B023


def _is_taken(platform: Platform, headers: dict[str, str]) -> bool:
    """Send an event, on a connection of its own so that all web processes have some; a busy one refuses."""
    answer = requests.post(f"{platform.url}/api/v1/events", json=EVENT, headers=headers, timeout=180)
    assert answer.status_code in (202, 503)
    return answer.status_code == 202


def test_metrics_have_an_address_of_their_own_for_all_processes(
    platform: Platform, app: Flask, receiver: Receiver
) -> None:
    address = f"127.0.0.1:{free_port()}"
    platform.start("web", WEBHOOKS_WEB_PROCESSES="2", WEBHOOKS_METRICS_LISTEN=address)
    send(platform, new_workspace(app, "Acme"), 3)

    def is_accepted() -> bool:
        answer = requests.get(f"http://{address}/metrics", timeout=180)
        assert answer.status_code == 200
        return 'avra_events_total{status="accepted",type="batch-lifecycle"} 3.0' in answer.text

    wait_for(is_accepted, 60)
    for path in ("/", "/healthz", "/api/v1/events"):
        assert requests.get(f"http://{address}{path}", timeout=180).status_code == 404
    assert requests.post(f"http://{address}/metrics", timeout=180).status_code == 501
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        refused = subprocess.run(
            [sys.executable, "-m", "webhooks_app", "web"],
            env=platform.environ
            | {"PORT": str(free_port()), "WEBHOOKS_METRICS_LISTEN": f"127.0.0.1:{taken.getsockname()[1]}"},
            capture_output=True,
            text=True,
            timeout=180,
        )
    assert refused.returncode != 0
    assert "Cannot listen on WEBHOOKS_METRICS_LISTEN" in refused.stderr


def test_counters_of_all_processes_add_up_and_outlive_them(
    platform: Platform, app: Flask, receiver: Receiver
) -> None:
    workspace = new_workspace(app, "Acme")
    workspace.endpoint(receiver.url)
    web = platform.start("web", WEBHOOKS_WEB_PROCESSES="2")
    worker = platform.start("worker", WEBHOOKS_WORKERS="2")
    send(platform, workspace, 20)
    wait_for(lambda: len(receiver.received) == 20)

    wait_for(lambda: platform.metric("avra_attempts_total", outcome="success") == 20, 60)
    wait_for(lambda: platform.metric("avra_events_total", status="accepted") == 20, 60)
    assert platform.metric("avra_processes", kind="web") == 2
    assert platform.metric("avra_processes", kind="worker") == 2
    assert platform.metric("avra_worker_capacity") == 800
    assert platform.metric("avra_first_attempt_delay_seconds_count") == 20

    for process in (web, worker):
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0
    platform.start("web")
    send(platform, workspace, 1)

    assert platform.metric("avra_attempts_total", outcome="success") == 20
    wait_for(lambda: platform.metric("avra_events_total", status="accepted") == 21, 60)


@pytest.mark.parametrize("redis_is_gone", [False, True])
def test_a_dead_worker_and_a_dead_scheduler_show_in_time(
    redis_is_gone: bool, platform: Platform, tmp_path: Path
) -> None:
    with redis_server(tmp_path / "redis") as (port, redis):
        platform.environ["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
        platform.start("web")
        victims = [platform.start("worker"), platform.start("scheduler")]
        wait_for(lambda: platform.metric("avra_processes") == 3, 60)
        wait_for(lambda: platform.codes() == [])
        if redis_is_gone:
            redis.kill()
            wait_for(lambda: "redis" in platform.codes())
        for victim in victims:
            platform.kill(victim)
        wait_for(lambda: {"no_worker", "no_scheduler"} <= set(platform.codes()))
    assert requests.get(f"{platform.url}/healthz", timeout=180).status_code == 503
    assert all(each["since"] for each in platform.health()["details"])


def test_what_is_dead_shows_as_soon_as_an_operator_is_promised() -> None:
    assert SILENT_AFTER + timedelta(seconds=REPORT_SECONDS) <= timedelta(seconds=45)
    assert 2 * timedelta(seconds=REPORT_SECONDS) < SILENT_AFTER  # one report that is late is no death


def test_a_web_that_is_to_end_tells_its_balancer_first_and_goes_on_meanwhile(
    platform: Platform, app: Flask
) -> None:
    workspace = new_workspace(app, "Acme")
    web = platform.start("web", WEBHOOKS_DRAIN_SECONDS="300")
    assert requests.get(f"{platform.url}/readyz", timeout=180).status_code == 200

    web.send_signal(signal.SIGTERM)

    wait_for(lambda: requests.get(f"{platform.url}/readyz", timeout=180).status_code == 503)
    assert requests.get(f"{platform.url}/livez", timeout=180).status_code == 200
    send(platform, workspace, 3)
    web.send_signal(signal.SIGTERM)  # a second one ends the wait
    assert web.wait(180) == 0


def test_a_web_that_is_to_end_waits_no_longer_than_it_was_told(platform: Platform) -> None:
    web = platform.start("web", WEBHOOKS_DRAIN_SECONDS="1")
    web.send_signal(signal.SIGTERM)
    assert web.wait(180) == 0
