"""Parse the setting that opens networks and hosts to deliveries. Pure."""

from ipaddress import ip_network

from webhooks_app.transport.address_rules import RANGE_BOUNDS, Network
from webhooks_app.transport.host_names import TargetRefused, parse_host, split_host_and_port
from webhooks_app.transport.target_policy import HostPorts


def parse_allow_list(text: str) -> tuple[tuple[Network, ...], HostPorts]:
    """Return networks and host:port pairs of a setting such as `10.0.0.0/8, [::1]:9000, hooks.internal:8443`.

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
    _refuse_what_nothing_opens(entry, network)
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
        _refuse_what_nothing_opens(entry, ip_network(address))
    return name, port


def _refuse_what_nothing_opens(entry: str, network: Network) -> None:
    for low, high, special_range in RANGE_BOUNDS[network.version]:
        if special_range.never_allowed and low <= int(network[0]) and int(network[-1]) <= high:
            raise ValueError(
                f"{entry!r} in the allow list is {special_range.description}. No setting opens it."
            )
