"""End TLS handshakes that never end."""

import socket
import time

import pytest

from tests.transport.scripted_server import Connection, Serve
from tests.transport.sending import HEADERS, collect
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="needs the kernel's count of bytes")
def test_a_tls_handshake_that_never_ends_holds_up_nobody(sender: Sender, serve: Serve) -> None:
    hello_requests = b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 2000  # a client skips them (RFC 5246, 7.4.1.1)

    def greets_for_ever(connection: Connection) -> None:
        connection.sock.recv(4096)
        while True:
            connection.send(hello_requests)

    flooding, good = serve(greets_for_ever), serve()
    sender.start("good", Request(good.url, HEADERS, b"{}", 30_000))
    sender.start("flood", Request(flooding.url.replace("http:", "https:"), HEADERS, b"{}", 30_000))
    began_at = time.monotonic()
    outcomes = collect(sender, 2)
    assert time.monotonic() - began_at < 15
    assert outcomes["good"].is_success
    assert outcomes["flood"].kind in ("tls", "invalid_response")
