"""Watch sockets without a limit of 1,024, and without spinning."""

import os
import resource
import socket
import time
from contextlib import suppress

import pytest

from tests.transport.scripted_server import Serve, silence
from tests.transport.sending import HEADERS, send, wait_until
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender


def test_descriptors_beyond_1024_work(sender: Sender, serve: Serve) -> None:
    server = serve()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1300:
        pytest.skip("the hard limit of descriptors is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1300) if soft > 0 else soft, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    assert send(sender, server.url).is_success
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_waiting_costs_no_processor_time(sender: Sender, serve: Serve) -> None:
    server, hanging = serve(), serve(silence)
    sender.start("hanging", Request(hanging.url, HEADERS, b"{}", 60_000))
    wait_until(lambda: sender.poll(10) == [] and hanging.requests)
    # Leaves an idle connection, which its server then closes. Opening another socket after it would have
    # all unregistered that libcurl gave up.
    assert send(sender, server.url).is_success
    for sock in list(server.open):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    until = time.monotonic() + 0.5
    rounds = 0
    while time.monotonic() < until:
        assert sender.poll(50) == []
        rounds += 1
    assert rounds < 100  # ten that wait; one that is ready at once comes again tens of thousands of times
