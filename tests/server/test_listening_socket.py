"""The socket that the web listens on."""

import socket

import pytest

from webhooks_app.server import listening_socket


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_asyncio_knows_that_connections_are_of_tcp_and_sends_bodies_at_once(host: str) -> None:
    with listening_socket.listen(host, 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_socket_that_was_closed_meanwhile_has_nobody_waiting() -> None:
    listener = listening_socket.listen("127.0.0.1", 0)
    listener.close()
    assert not listening_socket.has_connections_waiting(listener)
