"""Tell this machine's own addresses from others."""

import socket
from ipaddress import ip_address

from webhooks_app.transport.address_rules import Address

# Addresses that no machine has: reserved (RFC 1112) and discarded (RFC 6666).
_UNASSIGNABLE = {4: ip_address("240.0.0.1"), 6: ip_address("100::1")}


def is_own_address(address: Address) -> bool:
    """Return whether packets to `address` end here: a socket can be bound to such an address only.

    Where the system lets any be bound (Linux's `ip_nonlocal_bind`) that tells nothing, and the answer is no.
    """
    return _can_bind(address) and not _can_bind(_UNASSIGNABLE[address.version])


def _can_bind(address: Address) -> bool:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
