"""What the host of a URL or server is: an IP address or a name, this host or another. Pure."""

import ipaddress


def is_address(host: str) -> bool:
    """Return whether the host of a URL, brackets dropped, is an address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether what is sent to that host, brackets dropped, stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
