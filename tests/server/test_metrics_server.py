"""The server for metrics: what clients that are slow, many or unknown to DNS can do to it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from tests.waiting import wait_for
from webhooks_app.server.metrics_server import MetricsServer

ASKED = b"GET /metrics HTTP/1.0\r\n"


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with new_server(seconds=0.5) as server:
        server.start()
        yield server
        server.shutdown()


def new_server(*, seconds: float) -> MetricsServer:
    return MetricsServer("127.0.0.1", 0, lambda _: (b"x 1\n", "text/plain"), seconds=seconds)


def connect(server: MetricsServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20)


def answer(server: MetricsServer) -> bytes:
    with closing(connect(server)) as client:
        try:
            client.sendall(ASKED + b"\r\n")
            return client.recv(100)
        except ConnectionError:
            return b""


def test_clients_that_drip_hold_it_for_no_longer_than_the_deadline(
    server: MetricsServer, caplog: pytest.LogCaptureFixture
) -> None:
    def is_held_up_and_free_again() -> bool:
        stop = threading.Event()
        with ExitStack() as stack:
            clients = [stack.enter_context(closing(connect(server))) for _ in range(4)]
            with suppress(ConnectionError):  # once it was left
                for client in clients:
                    client.sendall(ASKED + b"X: ")
            thread = threading.Thread(target=drip, args=(clients, stop))
            thread.start()
            stack.callback(thread.join)
            stack.callback(stop.set)
            was_held_up = answer(server) == b""
            wait_for(lambda: answer(server).startswith(b"HTTP/1.0 200"))
        return was_held_up

    wait_for(is_held_up_and_free_again)  # where this process stands still, they are left too soon
    # However many more are left within the minute, as where this process stands still.
    assert [(each.message, each.count) for each in caplog.records] == [("metrics_clients_dropped", 1)]  # type: ignore[attr-defined]


def drip(clients: list[socket.socket], stop: threading.Event) -> None:
    while not stop.wait(0.05):
        for client in clients:
            with suppress(OSError):  # once it was left
                client.sendall(b"a")


def test_no_name_is_looked_up_for_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(name: str = "") -> str:
        raise AssertionError(f"looked up {name!r}")

    monkeypatch.setattr(socket, "getfqdn", look_up)
    new_server(seconds=1).server_close()
