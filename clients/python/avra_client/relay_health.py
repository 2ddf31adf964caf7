"""What a relay tells whoever watches it: `/healthz`, and `/metrics` in Prometheus' text format."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from avra_client.relay_state import RelayState

# A failure that passes within this time is no alarm, and a round takes less.
ALARM_SECONDS = 60.0
_BACKLOG_SECONDS = 5.0

# How many rows are pending, since when the oldest, in milliseconds, and how many fail: OutboxRows.backlog.
ReadBacklog = Callable[[], tuple[int, int | None, int]]
# The same, with the age of the oldest in seconds.
Backlog = tuple[int, float, int]


class _Backlog:
    """The backlog as it was some seconds ago at most: whoever asks often costs the database nothing."""

    def __init__(self, read: ReadBacklog) -> None:
        self._read, self._lock = read, threading.Lock()
        self._read_at, self._last = 0.0, (0, 0.0, 0)

    def read(self) -> Backlog:
        """Return how many rows are pending, for how many seconds the oldest has been, and how many fail."""
        with self._lock:
            if time.monotonic() - self._read_at > _BACKLOG_SECONDS or not self._read_at:
                count, oldest_at, failing = self._read()
                age = 0.0 if oldest_at is None else max(0.0, time.time() - oldest_at / 1000)
                self._read_at, self._last = time.monotonic(), (count, age, failing)
            return self._last


def problems(state: RelayState, now: float) -> list[str]:
    """Return what is wrong at the moment `now` of time.monotonic(); nothing if nothing is."""
    found = []
    if state.failing_since is not None and now - state.failing_since > ALARM_SECONDS:
        found.append(f"failing for {now - state.failing_since:.0f} s: {state.last_failure}")
    if now - state.last_round_at > ALARM_SECONDS + 300:
        found.append(f"silent for {now - state.last_round_at:.0f} s")
    return found


def metrics(state: RelayState, backlog: Backlog) -> str:
    """Return the relay's metrics as Prometheus reads them."""
    lines = []
    for name, value in asdict(state.totals).items():
        lines += [f"# TYPE avra_relay_{name}_total counter", f"avra_relay_{name}_total {value}"]
    gauges = {"pending_rows": backlog[0], "oldest_pending_seconds": round(backlog[1], 3)}
    gauges["failing_rows"] = backlog[2]
    gauges["in_trouble"] = int(bool(state.last_failure))
    for name, number in gauges.items():
        lines += [f"# TYPE avra_relay_{name} gauge", f"avra_relay_{name} {number}"]
    return "\n".join(lines) + "\n"


@contextmanager
def serving(address: tuple[str, int], state: RelayState, read_backlog: ReadBacklog) -> Iterator[int]:
    """Serve both addresses in a thread while the block runs; yield the port."""
    server = _Server(address, state, _Backlog(read_backlog))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], state: RelayState, backlog: _Backlog) -> None:
        super().__init__(address, _Handler)
        self.state, self.backlog = state, backlog


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/healthz":
            found = problems(self.server.state, time.monotonic())
            body = json.dumps({"status": "failing" if found else "ok", "problems": found})
            self._answer(503 if found else 200, "application/json", body + "\n")
        elif self.path == "/metrics":
            self._answer_metrics()
        else:
            self._answer(404, "text/plain", "There are /healthz and /metrics.\n")

    def _answer_metrics(self) -> None:
        try:
            text = metrics(self.server.state, self.server.backlog.read())
        except Exception as error:  # each driver has classes of its own
            self._answer(503, "text/plain", f"The outbox cannot be read: {type(error).__name__}.\n")
        else:
            self._answer(200, "text/plain; version=0.0.4", text)

    def _answer(self, status: int, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return
