import os
import socket

import pytest

from tests import free_ports
from webhooks_app.transport.target_ports import DENIED_PORTS


def test_a_port_is_given_once() -> None:
    ports = [free_ports.free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert not any(free_ports.reserve(port) for port in ports)


def test_what_one_process_was_given_no_other_gets() -> None:
    port = free_ports.free_port()
    child = os.fork()
    if child == 0:
        free_ports._ours.clear()  # as if it had been started by itself
        os._exit(1 if free_ports.reserve(port) else 0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("above", [0, 1, 10_000])
def test_a_port_is_free_with_those_that_go_with_it(above: int) -> None:
    port = free_ports.free_port()
    assert free_ports.is_free(port)
    with socket.create_server(("127.0.0.1", port + above)):
        assert not free_ports.is_free(port)


def test_deliveries_may_go_to_each_that_is_given() -> None:
    denied = [port for port in DENIED_PORTS if free_ports.FIRST <= port < free_ports.LAST]
    assert denied
    assert not any(free_ports.is_free(port - port % 2) for port in denied)
