"""Where deliveries may go: the rules of a deployment, and the judgement by them. Pure.

`normalise_url` judges what is typed, for the admin's sake; `address_problem` judges the address a socket is
about to be opened to, and is the one that protects. Sources: the IANA special-purpose address registries
(RFC 6890 and the RFCs named per range), RFC 3986, RFC 5891 with UTS 46, RFC 9110.

One gap no table can close: a network that runs NAT64 under a prefix of its own (RFC 6052) must
keep internal IPv4 unreachable through it, since such a prefix looks like any other public IPv6 network.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from webhooks_app.transport.address_rules import RANGE_BOUNDS, Address, Network, SpecialRange, special_ranges
from webhooks_app.transport.host_names import TargetRefused, canonical_host, parse_host, split_host_and_port

HostPorts = frozenset[tuple[str, int]]

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


def _is_unknown(_address: Address) -> bool:
    return False


@dataclass(frozen=True)
class TargetPolicy:
    """What a deployment opens beyond the default, which is https to public addresses.

    allow_http: opens the scheme, nothing else.
    allowed_networks: opens their addresses to any name, but no further port and no own listener.
    allowed_hosts: opens one name or address at one port, a denied port or an own listener included. A name
        is trusted with whatever it resolves to, so only names whose DNS is in your hands belong here.
    denied_ports: refused besides everything below 1024 other than 80 and 443.
    own_listeners: where the platform itself answers. localhost stands for every loopback address, 0.0.0.0
        and :: for those and for each that `is_own_address` knows as the machine's.

    Neither list opens a range marked `never` below: link-local and metadata addresses hand out the machine's
    own credentials, and unspecified, multicast and broadcast addresses are nobody's.
    """

    allow_http: bool = False
    allowed_networks: tuple[Network, ...] = ()
    allowed_hosts: HostPorts = frozenset()
    denied_ports: frozenset[int] = DENIED_PORTS
    own_listeners: HostPorts = frozenset()
    is_own_address: Callable[[Address], bool] = _is_unknown

    def __post_init__(self) -> None:
        # A listener spelt otherwise than the URL's host would not match, and so be open.
        for name in ("allowed_hosts", "own_listeners"):
            pairs = frozenset((canonical_host(host), port) for host, port in getattr(self, name))
            object.__setattr__(self, name, pairs)


def address_problem(ip: str, port: int, host: str, policy: TargetPolicy) -> str | None:
    """Why no socket may be opened to `ip` and `port` for a URL with `host`, as a sentence; else None.

    `host` is that of a normalised URL, so that it compares with the policy's names.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        return f"{ip} is not an IP address."
    judged = special_ranges(address)
    for each, found in judged:
        if found.never:
            return f"{_naming(ip, address, each, found)} No setting opens it."
    if _is_listed(host, address, port, policy.allowed_hosts):
        return None
    if _is_own(host, address, port, policy) or any(_is_own(host, each, port, policy) for each, _ in judged):
        return f"{ip} port {port} is where this platform itself listens. Deliveries do not go there."
    if problem := port_problem(port, policy):
        return problem
    for each, found in judged:
        if not any(each in network for network in policy.allowed_networks):
            return f"{_naming(ip, address, each, found)} Deliveries only go to public addresses."
    return None


def _naming(ip: str, address: Address, judged: Address, found: SpecialRange) -> str:
    return f"{ip} is {found.what}." if judged is address else f"{ip} leads to {judged}, {found.what}."


def _is_listed(host: str, address: Address, port: int, pairs: HostPorts) -> bool:
    # The port first: it rarely matches, and spelling out an IPv6 address is slow.
    return any(listed == port and name in (host, str(address)) for name, listed in pairs)


def _is_own(host: str, address: Address, port: int, policy: TargetPolicy) -> bool:
    own = policy.own_listeners
    is_everywhere = any((name, port) in own for name in ("0.0.0.0", "::"))  # noqa: S104  compared, not bound
    if is_everywhere and (address.is_loopback or policy.is_own_address(address)):
        return True
    is_local = ("localhost", port) in own and address.is_loopback
    return is_local or _is_listed(host, address, port, own)


def port_problem(port: int, policy: TargetPolicy) -> str | None:
    if not 1 <= port <= 65535:
        return "The port must be a number from 1 to 65535."
    if port in policy.denied_ports or (port < 1024 and port not in DEFAULT_PORTS.values()):
        return (
            f"Port {port} is not open to deliveries. Use 443, 80 or a port from 1024 up that serves the web."
        )
    return None


def parse_allow_list(text: str) -> tuple[tuple[Network, ...], HostPorts]:
    """Networks and host:port pairs of a setting such as `10.0.0.0/8, [::1]:9000, hooks.internal:8443`.

    Raises ValueError, naming the entry, for a malformed one and for one that no setting can open.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    networks = tuple(_allowed_network(entry) for entry in entries if "/" in entry)
    return networks, frozenset(_allowed_pair(entry) for entry in entries if "/" not in entry)


def _allowed_network(entry: str) -> Network:
    try:
        network = ip_network(entry)
    except ValueError as error:
        raise ValueError(
            f"{entry!r} in the allow list is not a network such as 10.0.0.0/8: {error}."
        ) from None
    _refuse_never(entry, network)
    return network


def _allowed_pair(entry: str) -> tuple[str, int]:
    try:
        host, port = split_host_and_port(entry, 0)
        name, address = parse_host(host)
    except TargetRefused as refused:
        raise ValueError(f"{entry!r} in the allow list is not a host and port: {refused}") from None
    if not 1 <= port <= 65535:
        raise ValueError(f"{entry!r} in the allow list needs a port from 1 to 65535, as in 127.0.0.1:8100.")
    if address:
        _refuse_never(entry, ip_network(address))
    return name, port


def _refuse_never(entry: str, network: Network) -> None:
    for low, high, found in RANGE_BOUNDS[network.version]:
        if found.never and low <= int(network[0]) and int(network[-1]) <= high:
            raise ValueError(f"{entry!r} in the allow list is {found.what}. No setting opens it.")
