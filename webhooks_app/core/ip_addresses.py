"""Tell an IP address from a name. Pure."""

import ipaddress


def is_address(host: str) -> bool:
    """Return whether the host of a URL, brackets dropped, is an address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
