"""Tell the machine's own addresses from others."""

import socket
from contextlib import suppress
from ipaddress import ip_address

import pytest

from webhooks_app.transport import local_addresses


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_loopback_addresses_are_the_machines_own(ip: str) -> None:
    assert local_addresses.is_own_address(ip_address(ip))


@pytest.mark.parametrize("ip", ["192.0.2.1", "2001:db8::1"])
def test_documentation_addresses_are_nobodys_own(ip: str) -> None:
    assert not local_addresses.is_own_address(ip_address(ip))


def test_an_address_is_its_own_whatever_ports_are_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        with suppress(OSError):  # where it is somebody else's, or not to be had without rights
            taken.bind(("127.0.0.1", 1))
        assert local_addresses.is_own_address(ip_address("127.0.0.1"))


def test_where_any_address_can_be_bound_none_is_known_as_the_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_addresses, "_can_bind", lambda _address: True)
    assert not local_addresses.is_own_address(ip_address("127.0.0.1"))
