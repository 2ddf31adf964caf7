"""The bench's measures; each takes a fresh deployment state and returns rows of (what, figure, unit)."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import NamedTuple

from bench.deployment import HANG_PORT, WEB_PORT, Deployment, payload, request, stats, wait_for
from bench.pace import Pace

Row = tuple[str, float, str]
PERCENTILES = (50, 95, 99)


def received() -> int:
    return int(request("GET", "/count"))


def drain(deployment: Deployment, endpoints: int, count: int, workers: int) -> Iterator[Row]:
    """From the first arrival to the last of a backlog that waits when the workers start."""
    deployment.reset()
    deployment.add_endpoints(endpoints)
    deployment.accept(count // endpoints)
    total = count // endpoints * endpoints
    deployment.vacuum()
    with deployment.workers(workers) as pool:
        wait_for(lambda: received() >= total)
        wait_for(lambda: deployment.pending() == 0)
        memory = max(child.memory_info().rss for child in pool.children())
    found = stats() or {}
    assert found["distinct"] == found["received"] == total, found["received"]
    yield f"drain, {endpoints} endpoints", total / (found["last_at"] - found["first_at"]), "deliveries/s"
    yield f"worker memory, {endpoints} endpoints", memory / 2**20, "MB"


def fan_out(deployment: Deployment, endpoints: int = 1000) -> Iterator[Row]:
    """One event to many endpoints, from the accept's start to the last arrival."""
    deployment.reset()
    deployment.add_endpoints(endpoints)
    with deployment.workers():
        time.sleep(4)
        started = time.time()
        deployment.accept(1)
        wait_for(lambda: received() >= endpoints)
    yield f"fan-out to {endpoints}", ((stats() or {})["last_at"] - started) * 1000, "ms"


def latency(deployment: Deployment, rate: int, seconds: float) -> Iterator[Row]:
    """From before the API call to the arrival, at a steady rate, through web, database, Redis and worker."""
    deployment.reset()
    deployment.add_endpoints(1)
    with deployment.web(), deployment.workers():
        time.sleep(2)
        asyncio.run(post_steadily(deployment.token, rate, 2))
        wait_for(lambda: deployment.pending() == 0)
        request("POST", "/reset")
        sent = asyncio.run(post_steadily(deployment.token, rate, seconds))
        wait_for(lambda: received() >= sent)
    yield from percentiles(f"accept to arrival at {rate}/s", (stats() or {})["latencies_ms"])


def beside_hanging(
    deployment: Deployment, healthy: int, hanging: int, backlog: int, rate: int, seconds: float
) -> Iterator[Row]:
    """Healthy endpoints' latency alone, then beside hanging ones that have a backlog."""
    for label, bad in (("alone", 0), (f"beside {hanging} hanging", hanging)):
        deployment.reset()
        deployment.add_endpoints(healthy)
        if bad:
            deployment.add_endpoints(bad, port=HANG_PORT, event_type="batch-request")
            deployment.accept(backlog // bad, "batch-request")
        with deployment.web(), deployment.workers():
            time.sleep(8)
            sent = asyncio.run(post_steadily(deployment.token, rate, seconds))
            wait_for(lambda expected=sent * healthy: received() >= expected, 120)
        yield from percentiles(f"{healthy} healthy {label}", (stats() or {})["latencies_ms"])


class Stretch(NamedTuple):
    """Deliveries a second, and this machine's speed meanwhile."""

    rate: float
    speed: float


def backlog(deployment: Deployment, count: int, workers: int) -> Iterator[Row]:
    """A large backlog's rate in its first, its last and its slowest tenth."""
    deployment.reset()
    deployment.add_endpoints(100)
    deployment.accept(count // 100)
    deployment.vacuum()
    with deployment.workers(workers) as pool, Pace() as pace:
        # Not from the very first, nor to the very last: those few wait for the worker's start and its last batch.
        tenths = [_stretch(count * tenth // 10, count * (tenth + 1) // 10, pace) for tenth in range(10)]
        memory = max(child.memory_info().rss for child in pool.children())
    first, last = tenths[0], tenths[-1]
    yield f"backlog of {count:,}, first tenth", first.rate, "deliveries/s"
    yield f"backlog of {count:,}, last tenth", last.rate, "deliveries/s"
    yield f"backlog of {count:,}, slowest tenth", min(tenth.rate for tenth in tenths), "deliveries/s"
    yield f"backlog of {count:,}, last / first", last.rate / first.rate, ""
    yield "this machine's speed meanwhile, last / first", last.speed / first.speed, ""
    yield "the backlog's at equal speed, last / first", last.rate / last.speed * first.speed / first.rate, ""
    yield "worker memory, backlog", memory / 2**20, "MB"


def _stretch(first: int, last: int, pace: Pace) -> Stretch:
    """From the `first` arrival on to the `last`; less a hundredth at either end."""
    margin = (last - first) // 100
    started, started_at = _passed(first + margin)
    ended, ended_at = _passed(last - margin)
    return Stretch((ended - started) / (ended_at - started_at), pace.speed(started_at, ended_at))


def _passed(mark: int) -> tuple[int, float]:
    wait_for(lambda: received() >= mark, 3600)
    return received(), time.time()


def percentiles(label: str, values: list[float]) -> Iterator[Row]:
    values.sort()
    for percent in PERCENTILES:
        yield f"{label}, p{percent}", values[min(len(values) - 1, len(values) * percent // 100)], "ms"


async def post_steadily(token: str, rate: int, seconds: float, connections: int = 16) -> int:
    """Posts events at the rate whether or not answers come in time; how many."""
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

    # No more than send within each second: gunicorn closes a connection after two without a request.
    await asyncio.gather(*(connection() for _ in range(min(connections, rate))))
    return total


def _message(token: str) -> bytes:
    body = json.dumps({"type": "batch-lifecycle", "data": payload(sent_ns=time.time_ns())}).encode()
    return (
        b"POST /api/v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (token.encode(), len(body), body)
    )
