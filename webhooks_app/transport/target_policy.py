"""Decide where deliveries may go, by the rules of a deployment. Pure.

`target_urls.normalise_url` judges what is typed, for the admin's sake; `refusal_of_address` judges the
address that a socket is about to be opened to, and is the one that protects. Sources: the IANA
special-purpose address registries (RFC 6890 and the RFCs named per range), RFC 3986, RFC 5891 with UTS 46,
RFC 9110.

One gap no table can close: a network that runs NAT64 under a prefix of its own (RFC 6052) must
keep internal IPv4 unreachable through it, since such a prefix looks like any other public IPv6 network.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from webhooks_app.transport.address_rules import Address, Network, SpecialRange, special_ranges
from webhooks_app.transport.host_names import canonical_host
from webhooks_app.transport.target_ports import DENIED_PORTS, port_problem

ONLY_PUBLIC = "Deliveries only go to public addresses."

# Host names or addresses in their one spelling, each with a port.
HostPorts = frozenset[tuple[str, int]]


def _is_unknown(_address: Address) -> bool:
    return False


@dataclass(frozen=True)
class TargetPolicy:
    """Hold what a deployment opens beyond the default, which is https to public addresses.

    allow_http: opens the scheme, nothing else.
    allowed_networks: opens their addresses to any name, but no further port and no own listener.
    allowed_hosts: opens one name or address at one port, a denied port or an own listener included. A name
        is trusted with whatever it resolves to, so only names whose DNS is in your hands belong here.
    denied_ports: refused besides everything below 1024 other than 80 and 443.
    own_listeners: where the platform itself answers. localhost stands for every loopback address, 0.0.0.0
        and :: for those and for each that `is_own_address` knows as the machine's.

    Neither list opens a range that is `never_allowed`: link-local and metadata addresses hand out the
    machine's own credentials, and unspecified, multicast and broadcast addresses are nobody's.
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


def refusal_of_address(ip: str, port: int, host: str, policy: TargetPolicy) -> str | None:
    """Return why no socket may be opened to `ip` and `port` for a URL with `host`, as a sentence; else None.

    `host` is that of a normalised URL, so that it compares with the policy's names.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        return f"{ip} is not an IP address."
    judged = special_ranges(address)
    for each, special_range in judged:
        if special_range.never_allowed:
            return f"{_describe(ip, address, each, special_range)} No setting opens it."
    if _is_listed(host, address, port, policy.allowed_hosts):
        return None
    addresses = (address, *(each for each, _ in judged))
    if any(_is_own_listener(host, each, port, policy) for each in addresses):
        return f"{ip} port {port} is where this platform itself listens. Deliveries do not go there."
    if problem := port_problem(port, policy.denied_ports):
        return problem
    for each, special_range in judged:
        if not any(each in network for network in policy.allowed_networks):
            return f"{_describe(ip, address, each, special_range)} {ONLY_PUBLIC}"
    return None


def _describe(ip: str, address: Address, judged: Address, special_range: SpecialRange) -> str:
    """Name the range of an address, or of the IPv4 address inside it."""
    if judged is address:
        return f"{ip} is {special_range.description}."
    return f"{ip} leads to {judged}, {special_range.description}."


def _is_listed(host: str, address: Address, port: int, pairs: HostPorts) -> bool:
    # The port first: it rarely matches, and spelling out an IPv6 address is slow.
    return any(listed == port and name in (host, str(address)) for name, listed in pairs)


def _is_own_listener(host: str, address: Address, port: int, policy: TargetPolicy) -> bool:
    own = policy.own_listeners
    is_everywhere = any((name, port) in own for name in ("0.0.0.0", "::"))  # noqa: S104  compared, not bound
    if is_everywhere and (address.is_loopback or policy.is_own_address(address)):
        return True
    is_local = ("localhost", port) in own and address.is_loopback
    return is_local or _is_listed(host, address, port, own)
