"""A server that is asked to end, behind a proxy that keeps its connections: nobody is reset."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.server.running_server import RunningServer, read_all, serving
from webhooks_app.server import listening_socket
from webhooks_app.server.restart import Restart
from webhooks_app.server.server_limits import DEFAULT_LIMITS

_REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
_PATIENT = replace(DEFAULT_LIMITS, end_seconds=30.0, accept_seconds=30.0)


def application(_environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with serving(application, _PATIENT) as running:
        yield running


def test_a_kept_connection_is_answered_once_more_and_told_so(server: RunningServer) -> None:
    with server.connect() as client:
        client.sendall(_REQUEST)
        assert b"connection: close" not in _head(client)
        server.server.end()
        _wait_until_refused(server.port)
        client.sendall(_REQUEST)
        assert b"connection: close" in read_all(client).lower()


def test_who_has_connected_before_is_answered(server: RunningServer) -> None:
    """The loop is kept busy, so that all of them wait for it to accept them."""
    go_on = threading.Event()
    server.loop.call_soon_threadsafe(go_on.wait)
    clients = [server.connect() for _ in range(40)]  # more than are accepted at once
    for client in clients:
        client.sendall(_REQUEST)
    server.server.end()
    go_on.set()
    for client in clients:
        with client:
            assert read_all(client).startswith(b"HTTP/1.1 200")


def test_the_socket_is_closed_where_a_restart_held_it_too() -> None:
    listener = listening_socket.listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    restart = Restart(listener, {})
    listener.close()
    socket.create_connection(("127.0.0.1", port), 5).close()
    restart.give_up()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    restart.give_up()


def _head(client: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"ok"):
        received += client.recv(4096)
    return received.lower()


def _wait_until_refused(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except ConnectionResetError:  # it was waiting to be accepted as the socket was closed
            continue
        except ConnectionRefusedError:
            return
