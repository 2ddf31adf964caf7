"""The bench's measures of accepting: events through the API, over HTTP, from a producer of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil  # type: ignore[import-untyped, unused-ignore]  # its stubs are a package of their own

from bench.deployment import WEB_PORT, Deployment, payload, wait_for
from bench.measures import Figure
from bench.sink_client import received, request, stats

CONNECTIONS = 16
_BATCH = 1000
_DEMO = "examples/consumer.py"  # which `avra run` starts, too
_ADDRESS = f"http://127.0.0.1:{WEB_PORT}"
EVENT = {"type": "batch-lifecycle", "data": payload()}


def no_op(deployment: Deployment, count: int) -> Iterator[Figure]:
    """Measure a request that the same server answers by itself, as the limit of what accepting can reach."""
    with deployment.web():
        produced = produce(deployment, "/event-types", b"", count)
    yield f"a read without the database, {CONNECTIONS} connections", count / produced["seconds"], "requests/s"


def accept(deployment: Deployment, count: int) -> Iterator[Figure]:
    """Measure single events accepted by the web alone."""
    deployment.reset()
    deployment.add_endpoints(1)
    with deployment.web():
        warm_up(deployment)
        with cpu_seconds(deployment) as cpu:
            produced = produce(deployment, "/events", json.dumps(EVENT).encode(), count)
    yield f"accept, web alone, {CONNECTIONS} connections", count / produced["seconds"], "events/s"
    yield "accept, web alone, p50 / p99", produced["p50_ms"], f"ms / {produced['p99_ms']:.1f} ms"
    yield "accept, web and database", cpu[0] / count * 1000, "CPU s per 1,000"


def single(deployment: Deployment, count: int, *, processes: int = 1) -> Iterator[Figure]:
    """Measure single events from the first that is published to the last that has arrived."""
    deployment.reset()
    deployment.add_endpoints(1)
    with deployment.web(processes), deployment.workers(processes):
        warm_up(deployment)
        started = time.time()
        with cpu_seconds(deployment) as cpu:
            produce(deployment, "/events", json.dumps(EVENT).encode(), count)
            wait_for(lambda: received() >= count)
    arrived = stats()
    assert arrived["distinct"] == arrived["received"] == count
    yield "single events, published to arrived", count / (arrived["last_at"] - started), "events/s"
    yield "single events, everything of the platform", cpu[0] / count * 1000, "CPU s per 1,000"


def fan_out_to_ten(deployment: Deployment, count: int, *, batch: int = 1) -> Iterator[Figure]:
    """Measure events to ten endpoints each, from the first that is published to the last arrival."""
    deployment.reset()
    deployment.add_endpoints(10)
    body: object = {"events": [EVENT] * batch} if batch > 1 else EVENT
    path, requests = ("/events/batch", count // batch) if batch > 1 else ("/events", count)
    with deployment.web(), deployment.workers():
        warm_up(deployment)
        started = time.time()
        produce(deployment, path, json.dumps(body).encode(), requests)
        wait_for(lambda: received() >= 10 * batch * requests)
    label = f", in batches of {batch}" if batch > 1 else ""
    rate = 10 * batch * requests / (stats()["last_at"] - started)
    yield f"fan-out to 10 endpoints{label}", rate, "deliveries/s"


def batches(deployment: Deployment, count: int) -> Iterator[Figure]:
    """Measure events accepted in batches by the web alone."""
    deployment.reset()
    deployment.add_endpoints(1)
    body = json.dumps({"events": [EVENT] * _BATCH}).encode()
    with deployment.web():
        warm_up(deployment)
        produced = produce(deployment, "/events/batch", body, count // _BATCH, connections=4)
    yield f"accept in batches of {_BATCH}", count / produced["seconds"], "events/s"


def processes(deployment: Deployment, count: int) -> Iterator[Figure]:
    """Measure single events, published to arrived, with more web and worker processes."""
    for number in (1, 2, 4):
        for what, value, unit in single(deployment, count, processes=number):
            yield f"{what}, {number} + {number}", value, unit


def memory(deployment: Deployment, workers: int) -> Iterator[Figure]:
    """Measure what web, workers and scheduler hold together, each page shared among them divided by them."""
    deployment.reset()
    deployment.add_endpoints(1)
    with deployment.web(), deployment.workers(workers), deployment.scheduler():
        _use(deployment)
        for name, pid in deployment.running.items():
            yield f"memory of {name}", _pss(pid) / 2**20, "MiB"
        yield "memory of all", sum(map(_pss, deployment.running.values())) / 2**20, "MiB"
    with deployment.run_as_one() as pid:
        _use(deployment)
        yield "memory of all, with what runs them, by avra run", _pss(pid, _DEMO) / 2**20, "MiB"


def _use(deployment: Deployment) -> None:
    """Have 1,200 events accepted and delivered."""
    warm_up(deployment)
    produce(deployment, "/events", json.dumps(EVENT).encode(), 1000)
    wait_for(lambda: deployment.pending() == 0)


def warm_up(deployment: Deployment) -> None:
    """Have some events accepted, and delivered where workers run, and forget them."""
    produce(deployment, "/events", json.dumps(EVENT).encode(), 200)
    if deployment.running.keys() & {"workers", "run"}:
        wait_for(lambda: deployment.pending() == 0)
    request("POST", "/reset")


def produce(
    deployment: Deployment,
    path: str,
    body: bytes,
    count: int,
    *,
    connections: int = CONNECTIONS,
    prefix: str = "/api/v1",
) -> dict[str, float]:
    """Have the producer post the body so often, and return what it says of that."""
    url = _ADDRESS + prefix + path
    command = [sys.executable, "-m", "bench.producer", url, deployment.token, str(count)]
    done = subprocess.run([*command, str(connections)], input=body, capture_output=True, check=True)
    produced: dict[str, float] = json.loads(done.stdout)
    return produced


@contextmanager
def cpu_seconds(deployment: Deployment) -> Iterator[list[float]]:
    """Yield a list that holds, after the block, the CPU seconds of platform and database meanwhile."""
    used: list[float] = []
    before = _cpu_seconds(deployment)
    yield used
    used.append(_cpu_seconds(deployment) - before)


def _cpu_seconds(deployment: Deployment) -> float:
    seconds = 0.0
    for process in _platform(deployment):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def _platform(deployment: Deployment) -> list[Any]:
    """Return the processes of the platform, its Redis and its PostgreSQL."""
    trees = [psutil.Process(pid) for pid in (*deployment.running.values(), *deployment.servers())]
    return [process for tree in trees for process in (tree, *tree.children(recursive=True))]


def _pss(pid: int, besides: str = "") -> int:
    """Return what the process and its descendants hold, those left out whose command has this word."""
    tree = psutil.Process(pid)
    all_of_it = (tree, *tree.children(recursive=True))
    counted = [each for each in all_of_it if not besides or besides not in " ".join(each.cmdline())]
    return sum(each.memory_full_info().pss for each in counted)
