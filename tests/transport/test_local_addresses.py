"""Tell the machine's own addresses from others."""

from ipaddress import ip_address

import pytest

from webhooks_app.transport import local_addresses


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_loopback_addresses_are_the_machines_own(ip: str) -> None:
    assert local_addresses.is_own_address(ip_address(ip))


@pytest.mark.parametrize("ip", ["192.0.2.1", "2001:db8::1"])
def test_documentation_addresses_are_nobodys_own(ip: str) -> None:
    assert not local_addresses.is_own_address(ip_address(ip))
