"""Judge by a strict policy, and by one that allows nearly everything."""

from ipaddress import ip_network

from webhooks_app.transport.allow_list import parse_allow_list
from webhooks_app.transport.host_names import TargetRefused
from webhooks_app.transport.target_policy import TargetPolicy
from webhooks_app.transport.target_urls import normalise_url

STRICT = TargetPolicy()

EVERYTHING = TargetPolicy(allow_http=True, allowed_networks=(ip_network("0.0.0.0/0"), ip_network("::/0")))


def policy_allowing(text: str, *own_listeners: tuple[str, int]) -> TargetPolicy:
    networks, hosts = parse_allow_list(text)
    return TargetPolicy(True, networks, hosts, own_listeners=frozenset(own_listeners))


def refusal_of(url: str, policy: TargetPolicy) -> str | None:
    """Return the sentence with which `normalise_url` refuses this URL; None when it does not."""
    try:
        normalise_url(url, policy)
    except TargetRefused as refused:
        return str(refused)
    return None
