"""Asks a sink what it received; `bench/sink.py` is the sink itself."""

import json
import urllib.request
from typing import TypedDict

# Behind the web's, and that of the consumer which `avra run` starts.
SINK_PORT, HANG_PORT = 8502, 8503


class Stats(TypedDict):
    """What the sink received since its last reset; `distinct` counts ids, times are in seconds since 1970."""

    received: int
    distinct: int
    first_at: float
    last_at: float
    latencies_ms: list[float]


def request(method: str, path: str, port: int = SINK_PORT) -> bytes:
    """Send a request to a sink and return the body of its answer."""
    message = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", method=method, data=b"" if method == "POST" else None
    )
    with urllib.request.urlopen(message, timeout=30) as response:
        return bytes(response.read())


def stats() -> Stats:
    """Return what the sink received since its last reset."""
    arrived: Stats = json.loads(request("GET", "/stats"))
    return arrived


def received() -> int:
    """Count the deliveries that the sink received since its last reset."""
    return int(request("GET", "/count"))


def is_up() -> bool:
    """Return whether the sink answers."""
    try:
        return received() >= 0
    except OSError:
        return False
