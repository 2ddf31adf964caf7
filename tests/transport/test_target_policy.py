"""Open what a deployment allows, and never what no setting opens, nor its own listeners."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from tests.transport.policies import EVERYTHING, policy_allowing, refusal_of
from webhooks_app.transport.target_policy import TargetPolicy, refusal_of_address

NEVER = """
    169.254.169.254 169.254.1.1 168.63.129.16 100.100.100.200 192.0.0.192 fd00:ec2::254 fd20:ce::254
    fd00:42::42 fd00:c1::a9fe:a9fe fe80::1 0.0.0.0 :: 224.0.0.1 ff02::1 255.255.255.255 64:ff9b:1::1
    ::ffff:169.254.169.254 64:ff9b::169.254.169.254 2002:a9fe:a9fe::1 2001:0:a9fe:a9fe::f7f7:f7f7
    2001:0:808:808::5601:5601
"""


@pytest.mark.parametrize("ip", NEVER.split())
def test_no_setting_opens_metadata_and_link_local(ip: str) -> None:
    pairs = frozenset({("hooks.internal", 8443), ("169.254.169.254", 8443), (ip, 8443)})
    policy = TargetPolicy(True, EVERYTHING.allowed_networks, pairs)
    for host in ("hooks.internal", ip, "x.example"):
        assert "No setting opens it." in str(refusal_of_address(ip, 8443, host, policy))


@pytest.mark.parametrize(
    "ip", "10.1.2.3 127.0.0.1 ::1 fd12::1 100.64.0.1 203.0.113.1 240.0.0.1 fec0::1 5f00::1".split()
)
def test_an_allowed_network_opens_its_addresses(ip: str) -> None:
    assert refusal_of_address(ip, 443, "x.example", EVERYTHING) is None


def test_an_allowed_network_opens_no_neighbour_and_no_port() -> None:
    policy = policy_allowing("10.0.0.0/16")
    assert refusal_of_address("10.0.255.255", 443, "x.example", policy) is None
    assert "private" in str(refusal_of_address("10.1.0.0", 443, "x.example", policy))
    assert "Port 6379" in str(refusal_of_address("10.0.0.1", 6379, "x.example", policy))


def test_an_allowed_pair_opens_one_port_of_one_address() -> None:
    policy = policy_allowing("127.0.0.1:8100, [::1]:6379")
    assert refusal_of_address("127.0.0.1", 8100, "127.0.0.1", policy) is None
    assert refusal_of_address("::1", 6379, "[::1]", policy) is None
    assert "loopback" in str(refusal_of_address("127.0.0.1", 8101, "127.0.0.1", policy))
    assert "loopback" in str(refusal_of_address("127.0.0.2", 8100, "127.0.0.2", policy))


def test_an_allowed_name_opens_what_it_resolves_to_and_no_other_name() -> None:
    policy = policy_allowing("Hooks.Internal:8443")
    assert refusal_of_address("10.0.0.5", 8443, "hooks.internal", policy) is None
    assert "private" in str(refusal_of_address("10.0.0.5", 8443, "other.internal", policy))
    assert "private" in str(refusal_of_address("10.0.0.5", 443, "hooks.internal", policy))


OWN = ("127.0.0.1", 8000), ("0:0:0:0:0:0:0:1", 8000), ("Console.Example.com.", 443)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/", "http://[::1]:8000/", "https://console.example.com/x"]
)
def test_the_own_listener_is_refused_even_in_an_allowed_network(url: str) -> None:
    policy = policy_allowing("127.0.0.0/8, ::1/128", *OWN)
    assert "platform itself listens" in str(refusal_of(url, policy))
    assert (
        refusal_of(url, policy_allowing("127.0.0.1:8000, [::1]:8000, console.example.com:443", *OWN)) is None
    )


@pytest.mark.parametrize("listener", ["0.0.0.0", "::", "localhost"])
@pytest.mark.parametrize("ip", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_wildcard_listener_covers_every_loopback_address(listener: str, ip: str) -> None:
    policy = policy_allowing("127.0.0.0/8, ::/95", (listener, 8000))
    assert "platform itself listens" in str(refusal_of_address(ip, 8000, "x.example", policy))
    assert "itself listens" not in str(refusal_of_address(ip, 8001, "x.example", policy))


@pytest.mark.parametrize("listener", ["0.0.0.0", "::"])
@pytest.mark.parametrize("ip", ["10.0.0.5", "::ffff:10.0.0.5", "9.9.9.9"])
def test_a_wildcard_listener_covers_the_addresses_of_the_machine(listener: str, ip: str) -> None:
    mine = {ip_address("10.0.0.5"), ip_address("9.9.9.9")}
    policy = TargetPolicy(
        allowed_networks=(ip_network("10.0.0.0/8"), ip_network("::ffff:0:0/96")),
        own_listeners=frozenset({(listener, 8000), ("10.0.0.7", 8001)}),
        is_own_address=mine.__contains__,
    )
    assert "platform itself listens" in str(refusal_of_address(ip, 8000, "x.example", policy))
    assert refusal_of_address(ip, 8001, "x.example", policy) is None
    assert refusal_of_address("10.0.0.6", 8000, "x.example", policy) is None


def test_a_wildcard_listener_covers_no_address_that_is_not_known_as_the_machines() -> None:
    policy = TargetPolicy(own_listeners=frozenset({("0.0.0.0", 8443), ("::", 8443)}))
    assert refusal_of_address("9.9.9.9", 8443, "x.example", policy) is None
    assert refusal_of_address("2606:4700::1", 8443, "x.example", policy) is None


def test_a_local_listener_covers_no_other_address_at_its_port() -> None:
    policy = TargetPolicy(own_listeners=frozenset({("localhost", 8443)}))
    assert "itself listens" in str(
        refusal_of_address(
            "127.0.0.2", 8443, "x.example", replace(policy, allowed_networks=EVERYTHING.allowed_networks)
        )
    )
    assert refusal_of_address("9.9.9.9", 8443, "x.example", policy) is None


def test_by_itself_a_policy_opens_https_alone() -> None:
    assert refusal_of("http://x.example/", TargetPolicy()) is not None
    assert refusal_of("https://x.example/", TargetPolicy()) is None


def test_a_public_address_of_the_platform_is_refused_whatever_the_name() -> None:
    policy = TargetPolicy(own_listeners=frozenset({("1.1.1.1", 443), ("console.example.com", 443)}))
    assert "itself listens" in str(refusal_of_address("1.1.1.1", 443, "x.example", policy))
    assert "itself listens" in str(refusal_of_address("9.9.9.9", 443, "console.example.com", policy))
