"""All processes log in one format, whichever was chosen."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from tests.conftest import deployed, new_workspace
from tests.free_ports import free_port
from tests.platform_process import PlatformProcess, without_settings
from tests.reading import output_of
from tests.receivers import Receiver
from tests.waiting import wait_for

EVENT = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_web_and_worker_log_objects_for_programs(
    app: Flask, receiver: Receiver, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    workspace = new_workspace(app, "Acme")
    endpoint_id = workspace.endpoint(receiver.url)
    port = free_port()
    options = {"WEBHOOKS_LOG_FORMAT": "json", "WEBHOOKS_ACCESS_LOG": "1", "WEBHOOKS_LOG_LEVEL": "DEBUG"}
    environ = deployed(database_url, redis_url, tmp_path) | options | {"PORT": str(port)}
    logs = {name: tmp_path / f"{name}.log" for name in ("web", "worker")}
    processes = [_start(name, environ, log) for name, log in logs.items()]

    answer = requests.post(
        f"http://127.0.0.1:{port}/api/v1/events", json=EVENT, headers=workspace.headers, timeout=30
    )
    wait_for(lambda: receiver.received)
    wait_for(lambda: _lines(logs["worker"], "attempted"))
    for process in processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0
        output_of(process).close()

    [request] = _lines(logs["web"], "request")
    assert request["request_id"] == answer.headers["X-Request-ID"]
    assert (request["method"], request["path"], request["status"]) == ("POST", "/api/v1/events", 202)
    [attempt] = _lines(logs["worker"], "attempted")
    assert (attempt["event_id"], attempt["endpoint_id"]) == (answer.json()["id"], endpoint_id)
    assert (attempt["outcome"], attempt["status"], attempt["state"]) == ("success", 200, "delivered")


def _start(command: str, environ: dict[str, str], log: Path) -> PlatformProcess:
    process = PlatformProcess(command, environ=without_settings() | environ, errors=log)
    assert output_of(process).readline() == "ready\n"
    return process


def _lines(log: Path, message: str) -> list[dict[str, Any]]:
    """The lines that say so; every line is an object."""
    found = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in found)
    return [line for line in found if line["message"] == message]
