"""List the address ranges that are not public, by the IANA special-purpose registries. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class SpecialRange:
    """Hold networks that are not public.

    `never_allowed`: no setting opens them. `embedded_ipv4`: shift and XOR mask of each IPv4 address that
    an address of theirs holds inside.
    """

    networks: str
    description: str
    never_allowed: bool = False
    embedded_ipv4: tuple[tuple[int, int], ...] = ()


_LOW_32_BITS = ((0, 0),)

# The first range that holds an address names it, so the narrower ones come first.
_SPECIAL_RANGES = (
    SpecialRange("168.63.129.16", "the platform address of Microsoft Azure", never_allowed=True),
    SpecialRange("100.100.100.200", "the metadata address of Alibaba Cloud", never_allowed=True),
    SpecialRange("192.0.0.192 fd00:c1::a9fe:a9fe", "a metadata address of Oracle Cloud", never_allowed=True),
    SpecialRange("fd00:ec2::/32", "a service address of Amazon EC2, metadata included", never_allowed=True),
    SpecialRange("fd20:ce::254", "the metadata address of Google Cloud", never_allowed=True),
    SpecialRange("fd00:42::42", "the metadata address of Scaleway", never_allowed=True),
    SpecialRange(
        "169.254.0.0/16", "a link-local address, cloud metadata included (RFC 3927)", never_allowed=True
    ),
    SpecialRange("fe80::/10", "a link-local address (RFC 4291)", never_allowed=True),
    SpecialRange("0.0.0.0/8", 'an address of "this network" (RFC 1122)', never_allowed=True),
    SpecialRange("::", "the unspecified address (RFC 4291)", never_allowed=True),
    SpecialRange("224.0.0.0/4", "a multicast address (RFC 5771)", never_allowed=True),
    SpecialRange("ff00::/8", "a multicast address (RFC 4291)", never_allowed=True),
    SpecialRange("255.255.255.255", "the broadcast address (RFC 919)", never_allowed=True),
    # Where the IPv4 address sits in it is the operator's choice (RFC 6052), so it cannot be judged.
    SpecialRange("64:ff9b:1::/48", "a local NAT64 address (RFC 8215)", never_allowed=True),
    SpecialRange("127.0.0.0/8", "a loopback address (RFC 1122)"),
    SpecialRange("::1", "the loopback address (RFC 4291)"),
    SpecialRange("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16", "a private address (RFC 1918)"),
    SpecialRange("100.64.0.0/10", "a shared address behind carrier NAT (RFC 6598)"),
    SpecialRange("192.0.0.0/24", "an IETF protocol address (RFC 6890)"),
    SpecialRange("192.0.2.0/24 198.51.100.0/24 203.0.113.0/24", "a documentation address (RFC 5737)"),
    SpecialRange("198.18.0.0/15", "a benchmarking address (RFC 2544)"),
    SpecialRange("192.88.99.0/24", "a former 6to4 relay address (RFC 7526)"),
    SpecialRange("240.0.0.0/4", "a reserved address (RFC 1112)"),
    SpecialRange("::ffff:0:0/96", "an IPv4-mapped address (RFC 4291)", embedded_ipv4=_LOW_32_BITS),
    SpecialRange("::ffff:0:0:0/96", "an IPv4-translated address (RFC 2765)", embedded_ipv4=_LOW_32_BITS),
    SpecialRange("::/96", "an IPv4-compatible address (RFC 4291)", embedded_ipv4=_LOW_32_BITS),
    SpecialRange("64:ff9b::/96", "a NAT64 address (RFC 6052)", embedded_ipv4=_LOW_32_BITS),
    SpecialRange("2002::/16", "a 6to4 address (RFC 3056)", embedded_ipv4=((80, 0),)),
    # Server, then client; the client's bits are inverted (RFC 4380, section 4).
    SpecialRange("2001::/32", "a Teredo address (RFC 4380)", embedded_ipv4=((64, 0), (0, 0xFFFFFFFF))),
    SpecialRange("2001:db8::/32", "a documentation address (RFC 3849)"),
    SpecialRange("3fff::/20", "a documentation address (RFC 9637)"),
    SpecialRange("2001::/23", "an IETF protocol address (RFC 2928)"),
    SpecialRange("fc00::/7", "a unique local, that is private, address (RFC 4193)"),
    SpecialRange("fec0::/10", "a former site-local address (RFC 3879)"),
    SpecialRange("::/3 4000::/2 8000::/1", "outside 2000::/3, the only IPv6 space in public use (RFC 4291)"),
)


def _bounds(version: int) -> tuple[tuple[int, int, SpecialRange], ...]:
    pairs = [(ip_network(each), found) for found in _SPECIAL_RANGES for each in found.networks.split()]
    return tuple((int(net[0]), int(net[-1]), found) for net, found in pairs if net.version == version)


# First and last address of each network as integers, because each new socket asks.
RANGE_BOUNDS = {version: _bounds(version) for version in (4, 6)}


def special_ranges(address: Address) -> list[tuple[Address, SpecialRange]]:
    """Return the range that holds the address, after those of IPv4 addresses inside it, which tell more."""
    value = int(address)
    for low, high, special_range in RANGE_BOUNDS[address.version]:
        if low <= value <= high:
            held = [
                IPv4Address((value >> shift & 0xFFFFFFFF) ^ mask)
                for shift, mask in special_range.embedded_ipv4
            ]
            return [pair for inner in held for pair in special_ranges(inner)] + [(address, special_range)]
    return []
