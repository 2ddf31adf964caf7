"""End TLS handshakes that never end."""

import socket

import pytest

from tests.transport.scripted_server import Connection, Serve
from tests.transport.sending import HEADERS, PATIENCE_SECONDS, collect
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
    sender.start("good", Request(good.url, HEADERS, b"{}", 120_000))
    sender.start("flood", Request(flooding.url.replace("http:", "https:"), HEADERS, b"{}", 120_000))
    outcomes = collect(sender, 2)
    assert all(each.timings.total_us < PATIENCE_SECONDS * 1_000_000 for each in outcomes.values())
    assert outcomes["good"].is_success
    assert outcomes["flood"].kind in ("tls", "invalid_response")
