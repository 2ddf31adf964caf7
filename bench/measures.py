"""The bench's measures of deliveries. Each empties the deployment first and yields its figures."""

import asyncio
import json
import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from bench.deployment import WEB_PORT, Deployment, largest_child_memory, payload, wait_for
from bench.machine_speed import MachineSpeed
from bench.sink_client import HANG_PORT, received, request, stats

# What was measured, its value and the unit.
Figure = tuple[str, float, str]
PERCENTILES = (50, 95, 99)


def drain(deployment: Deployment, endpoints: int, count: int, workers: int) -> Iterator[Figure]:
    """Measure the deliveries a second of a backlog, from its first arrival to its last."""
    deployment.reset()
    deployment.add_endpoints(endpoints)
    deployment.accept(count // endpoints)
    total = count // endpoints * endpoints
    deployment.vacuum()
    with deployment.workers(workers) as pool:
        wait_for(lambda: received() >= total)
        wait_for(lambda: deployment.pending() == 0)
        memory = largest_child_memory(pool)
    arrived = stats()
    assert arrived["distinct"] == arrived["received"] == total, arrived["received"]
    yield f"drain, {endpoints} endpoints", total / (arrived["last_at"] - arrived["first_at"]), "deliveries/s"
    yield f"worker memory, {endpoints} endpoints", memory / 2**20, "MB"


def fan_out(deployment: Deployment, endpoints: int = 1000) -> Iterator[Figure]:
    """Measure one event to many endpoints, from before it is accepted to its last arrival."""
    deployment.reset()
    deployment.add_endpoints(endpoints)
    with deployment.workers():
        time.sleep(4)
        started = time.time()
        deployment.accept(1)
        wait_for(lambda: received() >= endpoints)
    yield f"fan-out to {endpoints}", (stats()["last_at"] - started) * 1000, "ms"


def latency(deployment: Deployment, rate: int, seconds: float) -> Iterator[Figure]:
    """Measure from before the API call to the arrival, at a steady rate of events a second."""
    deployment.reset()
    deployment.add_endpoints(1)
    with deployment.web(), deployment.workers():
        time.sleep(2)
        asyncio.run(post_steadily(deployment.token, rate, 2))
        wait_for(lambda: deployment.pending() == 0)
        request("POST", "/reset")
        sent = asyncio.run(post_steadily(deployment.token, rate, seconds))
        wait_for(lambda: received() >= sent)
    yield from percentiles(f"accept to arrival at {rate}/s", stats()["latencies_ms"])


def latency_beside_hanging(
    deployment: Deployment, *, healthy: int, hanging: int, backlog: int, rate: int, seconds: float
) -> Iterator[Figure]:
    """Measure healthy endpoints' latency alone, then beside hanging ones that have a backlog."""
    for label, hanging_now in (("alone", 0), (f"beside {hanging} hanging", hanging)):
        deployment.reset()
        deployment.add_endpoints(healthy)
        if hanging_now:
            deployment.add_endpoints(hanging_now, port=HANG_PORT, event_type="batch-request")
            deployment.accept(backlog // hanging_now, "batch-request")
        with deployment.web(), deployment.workers():
            time.sleep(8)
            sent = asyncio.run(post_steadily(deployment.token, rate, seconds))
            wait_for(partial(_has_received, sent * healthy), 120)
        yield from percentiles(f"{healthy} healthy {label}", stats()["latencies_ms"])


class Span(NamedTuple):
    """A part of a backlog: its deliveries a second, and this machine's speed meanwhile."""

    rate: float
    speed: float


def backlog(deployment: Deployment, count: int, workers: int) -> Iterator[Figure]:
    """Measure a large backlog's rate in its first, its last and its slowest tenth."""
    deployment.reset()
    deployment.add_endpoints(100)
    deployment.accept(count // 100)
    deployment.vacuum()
    with deployment.workers(workers) as pool, MachineSpeed() as machine_speed:
        tenths = [_span(count * tenth // 10, count * (tenth + 1) // 10, machine_speed) for tenth in range(10)]
        memory = largest_child_memory(pool)
    first, last = tenths[0], tenths[-1]
    yield f"backlog of {count:,}, first tenth", first.rate, "deliveries/s"
    yield f"backlog of {count:,}, last tenth", last.rate, "deliveries/s"
    yield f"backlog of {count:,}, slowest tenth", min(tenth.rate for tenth in tenths), "deliveries/s"
    yield f"backlog of {count:,}, last / first", last.rate / first.rate, ""
    yield "this machine's speed meanwhile, last / first", last.speed / first.speed, ""
    yield "the backlog's at equal speed, last / first", last.rate / last.speed * first.speed / first.rate, ""
    yield "worker memory, backlog", memory / 2**20, "MB"


def _span(first: int, last: int, machine_speed: MachineSpeed) -> Span:
    """Measure from the `first` arrival to the `last`, less a hundredth at either end.

    The very first wait for the worker's start, and the very last for its last batch.
    """
    margin = (last - first) // 100
    started, started_at = _wait_for_arrivals(first + margin)
    ended, ended_at = _wait_for_arrivals(last - margin)
    return Span((ended - started) / (ended_at - started_at), machine_speed.speed(started_at, ended_at))


def _has_received(count: int) -> bool:
    return received() >= count


def _wait_for_arrivals(mark: int) -> tuple[int, float]:
    """Wait for so many arrivals; return how many there are then, and the time."""
    wait_for(lambda: received() >= mark, 3600)
    return received(), time.time()


def percentiles(label: str, values: list[float]) -> Iterator[Figure]:
    """Yield the percentiles of some milliseconds."""
    values.sort()
    for percent in PERCENTILES:
        yield f"{label}, p{percent}", values[min(len(values) - 1, len(values) * percent // 100)], "ms"


async def post_steadily(token: str, rate: int, seconds: float, connections: int = 16) -> int:
    """Post events at a steady rate, however long the answers take, and return how many were posted."""
    total = int(rate * seconds)
    started = time.perf_counter()
    numbers = iter(range(total))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", WEB_PORT)
        for number in numbers:
            await asyncio.sleep(max(0, started + number / rate - time.perf_counter()))
            writer.write(_message(token))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
            assert b" 202 " in head[:20], head[:200]
        writer.close()

    await asyncio.gather(*(connection() for _ in range(min(connections, rate))))
    return total


def _message(token: str) -> bytes:
    body = json.dumps({"type": "batch-lifecycle", "data": payload(sent_ns=time.time_ns())}).encode()
    return (
        b"POST /api/v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (token.encode(), len(body), body)
    )
