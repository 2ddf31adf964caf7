"""While all threads are at work: who waits for one, who does not, and for how long."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from tests.server.running_server import SECONDS, RunningServer, serving
from tests.waiting import wait_for
from webhooks_app.db import deadlines
from webhooks_app.db.database_limits import DatabaseLimits

THREADS = 2
REQUEST_SECONDS = 600.0


class Occupied:
    """An application whose answers to `/slow` wait until they are let go."""

    def __init__(self) -> None:
        self.is_free = threading.Event()
        self.began = threading.Semaphore(0)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            self.began.release()
            assert self.is_free.wait(SECONDS)
        start("200 OK", [("Content-Length", "2")])
        return [b"ok"]


def get(server: RunningServer, path: str, accept: bytes = b"*/*") -> bytes:
    head = b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept: %s\r\n\r\n"
    return server.exchange(head % (path.encode(), accept))


def occupy(server: RunningServer, application: Occupied, clients: ThreadPoolExecutor) -> Any:
    slow = [clients.submit(get, server, "/slow") for _ in range(THREADS)]
    for _ in slow:
        assert application.began.acquire(timeout=SECONDS)
    return slow


def test_who_gets_no_thread_in_time_is_told_to_come_again() -> None:
    application = Occupied()
    with serving(application, threads=THREADS) as server, ThreadPoolExecutor(THREADS) as clients:
        slow = occupy(server, application, clients)
        server.server._bridge._queue_seconds = 0.3  # from now on, as a thread may be slow to begin
        head, _, body = get(server, "/other").partition(b"\r\n\r\n")
        page = get(server, "/other", accept=b"text/html,application/xhtml+xml,*/*;q=0.8")
        application.is_free.set()
        # What a thread has begun is answered, however long it takes.
        assert all(each.result(SECONDS).startswith(b"HTTP/1.1 200 ") for each in slow)
        wait_for(lambda: get(server, "/other").startswith(b"HTTP/1.1 200 "))
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in head
    assert b'"busy"' in body
    assert page.endswith(b"\r\n\r\nToo much is being sent at once. Send this again.\n")


@pytest.mark.parametrize("path", ["/livez", "/static/console.css"])
def test_liveness_and_static_files_wait_for_nobody(path: str) -> None:
    application = Occupied()
    with serving(application, threads=THREADS) as server, ThreadPoolExecutor(THREADS) as clients:
        occupy(server, application, clients)
        assert get(server, path).startswith(b"HTTP/1.1 200 ")
        application.is_free.set()


@pytest.mark.parametrize(
    "database_limits", [replace(DatabaseLimits(), request_seconds=REQUEST_SECONDS)], indirect=True
)
def test_the_wait_for_a_thread_counts_towards_the_deadline(app: Flask) -> None:
    began, is_free, left = threading.Event(), threading.Event(), []

    def hold() -> str:
        began.set()
        return str(is_free.wait(SECONDS))

    def look() -> str:
        left.append(deadlines.remaining() or 0.0)
        return ""

    app.add_url_rule("/hold", view_func=hold)
    app.add_url_rule("/look", view_func=look)
    with serving(app, threads=1) as server, ThreadPoolExecutor(2) as clients:
        clients.submit(get, server, "/hold")
        assert began.wait(SECONDS)
        waiting = clients.submit(get, server, "/look")
        wait_for(lambda: server.server._bridge._pool._work_queue.qsize() == 1)
        time.sleep(1.0)
        is_free.set()
        assert waiting.result(SECONDS).startswith(b"HTTP/1.1 200 ")
    assert 0 < left[0] < REQUEST_SECONDS - 1.0
