"""Decide which ports deliveries may go to. Pure."""

DEFAULT_PORTS = {"https": 443, "http": 80}

# Ports where no webhook receiver lives and where a POST with chosen headers and body can do harm: stores that
# take text lines for commands or answer anyone; administration often left open (Docker, etcd, Consul,
# Kubernetes, Erlang, JMX, WinRM); screens and files (X11, VNC, RDP, NFS); brokers and proxies that would
# carry a request further; last, the other "bad ports" from 1024 up of the WHATWG Fetch standard.
_DENIED_PORT_RANGES = """
    1433-1434 1521 2181 3306 5432 5984 6379-6380 7000-7001 9042 9200 9300 11211 16379 26379 27017-27019
    2375-2376 2379-2380 4369 5985-5986 6443 7199 8500 10250 10255 25672
    2049 3389 5900-5909 6000-6063
    1080 3128 5671-5672 9092
    1719-1720 1723 3659 4045 4190 5060-5061 6566 6665-6669 6679 6697 10080
"""


def _ports(ranges: str) -> frozenset[int]:
    bounds = [entry.split("-") for entry in ranges.split()]
    return frozenset(port for ends in bounds for port in range(int(ends[0]), int(ends[-1]) + 1))


DENIED_PORTS = _ports(_DENIED_PORT_RANGES)


def port_problem(port: int, denied_ports: frozenset[int]) -> str | None:
    """Return why deliveries may not go to this port, as a sentence; else None."""
    if not 1 <= port <= 65535:
        return "The port must be a number from 1 to 65535."
    if port in denied_ports or (port < 1024 and port not in DEFAULT_PORTS.values()):
        return (
            f"Port {port} is not open to deliveries. Use 443, 80 or a port from 1024 up that serves the web."
        )
    return None
