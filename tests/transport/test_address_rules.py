"""Tell public addresses from those that are not, also inside each other."""

from ipaddress import ip_network

import pytest

from tests.transport.policies import EVERYTHING, STRICT, policy_allowing
from webhooks_app.transport.target_policy import refusal_of_address

PUBLIC = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 100.63.255.255 100.128.0.0
    126.255.255.255 128.0.0.0 192.0.1.0 198.17.255.255 198.20.0.0 223.255.255.255 168.63.129.17
    169.253.255.255 169.255.0.0 2606:4700:4700::1111 2a00:1450::200e 2001:200::1 2001:db7::1 2001:db9::1
    2003::1 3ffe::1 2000::1
"""


@pytest.mark.parametrize("ip", PUBLIC.split())
def test_a_public_address_is_allowed(ip: str) -> None:
    assert refusal_of_address(ip, 443, "hooks.example.com", STRICT) is None


FORBIDDEN = [
    ("127.0.0.1 127.255.255.255", "a loopback address (RFC 1122)"),
    ("::1", "the loopback address (RFC 4291)"),
    ("0.0.0.0 0.1.2.3", 'an address of "this network" (RFC 1122)'),
    ("::", "the unspecified address (RFC 4291)"),
    (
        "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255",
        "a private address (RFC 1918)",
    ),
    (
        "169.254.0.0 169.254.169.254 169.254.170.2 169.254.255.255",
        "a link-local address, cloud metadata included (RFC 3927)",
    ),
    ("fe80::1 febf::1 fe80::1%eth0", "a link-local address (RFC 4291)"),
    ("168.63.129.16", "the platform address of Microsoft Azure"),
    ("100.100.100.200", "the metadata address of Alibaba Cloud"),
    ("192.0.0.192 fd00:c1::a9fe:a9fe", "a metadata address of Oracle Cloud"),
    ("fd00:ec2::254 fd00:ec2::23", "a service address of Amazon EC2, metadata included"),
    ("fd20:ce::254", "the metadata address of Google Cloud"),
    ("fd00:42::42", "the metadata address of Scaleway"),
    ("100.64.0.0 100.127.255.255", "a shared address behind carrier NAT (RFC 6598)"),
    ("198.18.0.0 198.19.255.255", "a benchmarking address (RFC 2544)"),
    ("192.0.2.1 198.51.100.1 203.0.113.255", "a documentation address (RFC 5737)"),
    ("2001:db8::1", "a documentation address (RFC 3849)"),
    ("3fff::1", "a documentation address (RFC 9637)"),
    ("192.88.99.1", "a former 6to4 relay address (RFC 7526)"),
    ("192.0.0.1", "an IETF protocol address (RFC 6890)"),
    ("2001:2::1 2001:10::1 2001:1ff::1", "an IETF protocol address (RFC 2928)"),
    ("224.0.0.0 239.255.255.255", "a multicast address (RFC 5771)"),
    ("ff02::1 ff0e::1", "a multicast address (RFC 4291)"),
    ("240.0.0.0 255.255.255.254", "a reserved address (RFC 1112)"),
    ("255.255.255.255", "the broadcast address (RFC 919)"),
    ("::ffff:8.8.8.8", "an IPv4-mapped address (RFC 4291)"),
    ("::8.8.8.8", "an IPv4-compatible address (RFC 4291)"),
    ("::ffff:0:8.8.8.8", "an IPv4-translated address (RFC 2765)"),
    ("64:ff9b::8.8.8.8", "a NAT64 address (RFC 6052)"),
    ("64:ff9b:1::8.8.8.8 64:ff9b:1:808:8:800::", "a local NAT64 address (RFC 8215)"),
    ("2002:808:808::1", "a 6to4 address (RFC 3056)"),
    ("2001:0:808:808::f7f7:f7f7", "a Teredo address (RFC 4380)"),
    ("fc00::1 fdff::1", "a unique local, that is private, address (RFC 4193)"),
    ("fec0::1 feff::1", "a former site-local address (RFC 3879)"),
    (
        "1:2::3 100::1 1fff::1 4000::1 5f00::1 8000::1 fe00::1",
        "outside 2000::/3, the only IPv6 space in public use (RFC 4291)",
    ),
]


@pytest.mark.parametrize(("ip", "reason"), [(ip, why) for ips, why in FORBIDDEN for ip in ips.split()])
def test_an_address_that_is_not_public_is_refused_with_its_reason(ip: str, reason: str) -> None:
    problem = refusal_of_address(ip, 443, "hooks.example.com", STRICT)
    assert problem and problem.startswith(f"{ip} is {reason}. ")


def test_the_reason_is_a_sentence_an_admin_can_act_on() -> None:
    expected = "10.0.0.5 is a private address (RFC 1918). Deliveries only go to public addresses."
    assert refusal_of_address("10.0.0.5", 443, "hooks.example.com", STRICT) == expected


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "/run/web.sock", "010.0.0.1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    assert "is not an IP address" in str(refusal_of_address(text, 443, "hooks.example.com", EVERYTHING))


EMBEDDING = """
    ::ffff:{v4} ::{v4} ::ffff:0:{v4} 64:ff9b::{v4} 2002:{hex}::1 2001:0:{hex}::f7f7:f7f7
    2001:0:808:808::{inverted}
""".split()


def embed(form: str, v4: str) -> str:
    value = int(ip_network(v4)[0])
    pairs = {"hex": value, "inverted": value ^ 0xFFFFFFFF}
    return form.format(v4=v4, **{key: f"{each >> 16:x}:{each & 0xFFFF:x}" for key, each in pairs.items()})


@pytest.mark.parametrize("form", EMBEDDING)
@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.5", "169.254.169.254", "100.100.100.200"])
def test_an_address_inside_an_address_is_named(form: str, inner: str) -> None:
    assert f"leads to {inner}, " in str(refusal_of_address(embed(form, inner), 443, "x.example", STRICT))


@pytest.mark.parametrize("form", EMBEDDING)
def test_opening_a_transition_range_does_not_open_what_it_leads_to(form: str) -> None:
    transition = "::/95, ::ffff:0:0/96, ::ffff:0:0:0/96, 64:ff9b::/96, 2002::/16, 2001::/32"
    policy = policy_allowing(transition)
    assert refusal_of_address(embed(form, "8.8.8.8"), 443, "x.example", policy) is None
    assert "10.0.0.5, a private" in str(refusal_of_address(embed(form, "10.0.0.5"), 443, "x.example", policy))
    both = policy_allowing(f"{transition}, 10.0.0.0/8")
    assert refusal_of_address(embed(form, "10.0.0.5"), 443, "x.example", both) is None


def test_opening_ipv4_does_not_open_its_mapped_form() -> None:
    problem = refusal_of_address("::ffff:10.0.0.5", 443, "x.example", policy_allowing("10.0.0.0/8"))
    assert "IPv4-mapped" in str(problem)
