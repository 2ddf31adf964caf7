"""Where deliveries may go, and which headers an admin may add: pure rules.

`normalise_url` judges what is typed, for the admin's sake; `address_problem` judges the address a socket is
about to be opened to, and is the one that protects. Sources: the IANA special-purpose address registries
(RFC 6890 and the RFCs named per range), RFC 3986, RFC 5891 with UTS 46, RFC 9110.

One gap no table can close: a network that runs NAT64 under a prefix of its own (RFC 6052) must
keep internal IPv4 unreachable through it, since such a prefix looks like any other public IPv6 network.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote

import idna

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
HostPorts = frozenset[tuple[str, int]]

# What a database column, a log line and every common server take without trouble.
MAX_URL_LENGTH = 2048
MAX_HOST_LENGTH = 253  # RFC 1035, section 2.3.4, less the root's own two bytes
MAX_LABEL_LENGTH = 63
MAX_HEADERS = 20
MAX_HEADER_BYTES = 4096  # half of what common servers take, so ours and the signature always fit beside them

DEFAULT_PORTS = {"https": 443, "http": 80}

# Unicode categories of control, format and surrogate characters and of every kind of space.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})

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


class TargetRefused(ValueError):
    """A URL that deliveries must not go to; the message is a sentence for an admin."""


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


@dataclass(frozen=True)
class _Range:
    """Networks that are not public. `embedded` has shift and XOR mask of each IPv4 address held inside."""

    networks: str
    what: str
    never: bool = False
    embedded: tuple[tuple[int, int], ...] = ()


_LOW_32_BITS = ((0, 0),)

# The first range that holds an address names it, so the narrower ones come first.
_SPECIAL_RANGES = (
    _Range("168.63.129.16", "the platform address of Microsoft Azure", never=True),
    _Range("100.100.100.200", "the metadata address of Alibaba Cloud", never=True),
    _Range("192.0.0.192 fd00:c1::a9fe:a9fe", "a metadata address of Oracle Cloud", never=True),
    _Range("fd00:ec2::/32", "a service address of Amazon EC2, metadata included", never=True),
    _Range("fd20:ce::254", "the metadata address of Google Cloud", never=True),
    _Range("fd00:42::42", "the metadata address of Scaleway", never=True),
    _Range("169.254.0.0/16", "a link-local address, cloud metadata included (RFC 3927)", never=True),
    _Range("fe80::/10", "a link-local address (RFC 4291)", never=True),
    _Range("0.0.0.0/8", 'an address of "this network" (RFC 1122)', never=True),
    _Range("::", "the unspecified address (RFC 4291)", never=True),
    _Range("224.0.0.0/4", "a multicast address (RFC 5771)", never=True),
    _Range("ff00::/8", "a multicast address (RFC 4291)", never=True),
    _Range("255.255.255.255", "the broadcast address (RFC 919)", never=True),
    # Where the IPv4 address sits in it is the operator's choice (RFC 6052), so it cannot be judged.
    _Range("64:ff9b:1::/48", "a local NAT64 address (RFC 8215)", never=True),
    _Range("127.0.0.0/8", "a loopback address (RFC 1122)"),
    _Range("::1", "the loopback address (RFC 4291)"),
    _Range("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16", "a private address (RFC 1918)"),
    _Range("100.64.0.0/10", "a shared address behind carrier NAT (RFC 6598)"),
    _Range("192.0.0.0/24", "an IETF protocol address (RFC 6890)"),
    _Range("192.0.2.0/24 198.51.100.0/24 203.0.113.0/24", "a documentation address (RFC 5737)"),
    _Range("198.18.0.0/15", "a benchmarking address (RFC 2544)"),
    _Range("192.88.99.0/24", "a former 6to4 relay address (RFC 7526)"),
    _Range("240.0.0.0/4", "a reserved address (RFC 1112)"),
    _Range("::ffff:0:0/96", "an IPv4-mapped address (RFC 4291)", embedded=_LOW_32_BITS),
    _Range("::ffff:0:0:0/96", "an IPv4-translated address (RFC 2765)", embedded=_LOW_32_BITS),
    _Range("::/96", "an IPv4-compatible address (RFC 4291)", embedded=_LOW_32_BITS),
    _Range("64:ff9b::/96", "a NAT64 address (RFC 6052)", embedded=_LOW_32_BITS),
    _Range("2002::/16", "a 6to4 address (RFC 3056)", embedded=((80, 0),)),
    # Server, then client; the client's bits are inverted (RFC 4380, section 4).
    _Range("2001::/32", "a Teredo address (RFC 4380)", embedded=((64, 0), (0, 0xFFFFFFFF))),
    _Range("2001:db8::/32", "a documentation address (RFC 3849)"),
    _Range("3fff::/20", "a documentation address (RFC 9637)"),
    _Range("2001::/23", "an IETF protocol address (RFC 2928)"),
    _Range("fc00::/7", "a unique local, that is private, address (RFC 4193)"),
    _Range("fec0::/10", "a former site-local address (RFC 3879)"),
    _Range("::/3 4000::/2 8000::/1", "outside 2000::/3, the only IPv6 space in public use (RFC 4291)"),
)


def _bounds(version: int) -> tuple[tuple[int, int, _Range], ...]:
    pairs = [(ip_network(each), found) for found in _SPECIAL_RANGES for each in found.networks.split()]
    return tuple((int(net[0]), int(net[-1]), found) for net, found in pairs if net.version == version)


# As integers, because every new socket asks.
_BOUNDS = {version: _bounds(version) for version in (4, 6)}


def is_address(host: str) -> bool:
    """Whether the host of a normalised URL is an address, brackets dropped, rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def address_problem(ip: str, port: int, host: str, policy: TargetPolicy) -> str | None:
    """Why no socket may be opened to `ip` and `port` for a URL with `host`, as a sentence; else None.

    `host` is that of a normalised URL, so that it compares with the policy's names.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        return f"{ip} is not an IP address."
    judged = _special_ranges(address)
    for each, found in judged:
        if found.never:
            return f"{_naming(ip, address, each, found)} No setting opens it."
    if _is_listed(host, address, port, policy.allowed_hosts):
        return None
    if _is_own(host, address, port, policy) or any(_is_own(host, each, port, policy) for each, _ in judged):
        return f"{ip} port {port} is where this platform itself listens. Deliveries do not go there."
    if problem := _port_problem(port, policy):
        return problem
    for each, found in judged:
        if not any(each in network for network in policy.allowed_networks):
            return f"{_naming(ip, address, each, found)} Deliveries only go to public addresses."
    return None


def _special_ranges(address: Address) -> list[tuple[Address, _Range]]:
    """The range that holds the address, after those of the IPv4 addresses inside it, which tell more."""
    value = int(address)
    for low, high, found in _BOUNDS[address.version]:
        if low <= value <= high:
            held = [IPv4Address((value >> shift & 0xFFFFFFFF) ^ mask) for shift, mask in found.embedded]
            return [pair for inner in held for pair in _special_ranges(inner)] + [(address, found)]
    return []


def _naming(ip: str, address: Address, judged: Address, found: _Range) -> str:
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


def _port_problem(port: int, policy: TargetPolicy) -> str | None:
    if not 1 <= port <= 65535:
        return "The port must be a number from 1 to 65535."
    if port in policy.denied_ports or (port < 1024 and port not in DEFAULT_PORTS.values()):
        return (
            f"Port {port} is not open to deliveries. Use 443, 80 or a port from 1024 up that serves the web."
        )
    return None


def url_problem(url: str, policy: TargetPolicy) -> str | None:
    """Why an endpoint may not have this URL, as a sentence for an admin; None when it may."""
    try:
        normalise_url(url, policy)
    except TargetRefused as refused:
        return str(refused)
    return None


def normalise_url(url: str, policy: TargetPolicy) -> str:
    """The one spelling of `url` to store and to hand to libcurl; raises TargetRefused.

    Rebuilt from its parts with an ASCII host, so that no two parsers can disagree about where it leads.
    Path and query stay as typed, apart from the encoding that RFC 3986 demands.
    """
    scheme, authority, path, query = _split(url, policy)
    host, port = _host_and_port(authority, DEFAULT_PORTS[scheme])
    name, address = _parse_host(host)
    problem = address_problem(name, port, name, policy) if address else _name_problem(name, port, policy)
    if problem:
        raise TargetRefused(problem)
    shown_host = f"[{name}]" if isinstance(address, IPv6Address) else name
    shown_port = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    rebuilt = f"{scheme}://{shown_host}{shown_port}{_encoded(path or '/')}{_encoded(query)}"
    _refuse_if(len(rebuilt) > MAX_URL_LENGTH, f"The URL is over {MAX_URL_LENGTH} characters once encoded.")
    return rebuilt


def _refuse_if(wrong: bool, sentence: str) -> None:
    if wrong:
        raise TargetRefused(sentence)


def _split(url: str, policy: TargetPolicy) -> tuple[str, str, str, str]:
    """Scheme, authority, path and query (with its question mark), cut as in RFC 3986, appendix B."""
    _refuse_if(len(url) > MAX_URL_LENGTH, f"The URL is over {MAX_URL_LENGTH} characters.")
    invisible = any(unicodedata.category(char) in _INVISIBLE for char in url)
    _refuse_if(invisible, "The URL holds a space, a control character or an invisible one.")
    _refuse_if("\\" in url, "The URL holds a backslash, which programs read in different ways.")
    _refuse_if("#" in url, "The URL holds a fragment (#), which is never sent. Remove it.")
    schemes = ("https", "http") if policy.allow_http else ("https",)
    parts = re.fullmatch(r"([A-Za-z]+)://([^/?]*)([^?]*)(\?.*)?", url)
    if not parts or parts[1].lower() not in schemes:
        raise TargetRefused(f"The URL must start with {' or '.join(f'{each}://' for each in schemes)}.")
    _refuse_if(not parts[2], "The URL names no host.")
    return parts[1].lower(), parts[2], parts[3], parts[4] or ""


def _host_and_port(authority: str, default_port: int) -> tuple[str, int]:
    _refuse_if("@" in authority, "The URL holds a user name or password. Use a header of your own instead.")
    _refuse_if(
        "%" in authority, "The host holds a percent sign: neither zone ids nor encoded hosts are allowed."
    )
    parts = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::([0-9]{1,5}))?", authority)
    if not parts:
        raise TargetRefused("The URL must name one host, and after a colon a port from 1 to 65535 if any.")
    return parts[1], int(parts[2]) if parts[2] else default_port


def _parse_host(host: str) -> tuple[str, Address | None]:
    """The host in its one spelling, and its address when it is one; the brackets of IPv6 are dropped."""
    if host.startswith("["):
        try:
            literal = IPv6Address(host[1:-1])
        except ValueError:
            raise TargetRefused("The host in brackets is not an IPv6 address.") from None
        return str(literal), literal
    name = _ascii_name(host)
    # A resolver reads whatever ends in a number as IPv4 (WHATWG URL, "ends in a number checker").
    if not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", name.rpartition(".")[2]):
        return name, None
    address = _loose_ipv4(name.split("."))
    if address is None:
        raise TargetRefused("The host ends in a number but is not an IPv4 address.")
    # Refused rather than rewritten: programs disagree whether 0177 is 127 or 177.
    _refuse_if(str(address) != name, f"{name} means {address}. Write addresses in full.")
    return name, address


def _ascii_name(host: str) -> str:
    """The lower-case ASCII form of a host name, without the root's dot."""
    _refuse_if(len(host) > MAX_HOST_LENGTH + 1, f"The host is over {MAX_HOST_LENGTH} characters.")
    try:
        name = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode("ascii").lower()
    except UnicodeError:
        raise TargetRefused("The host is not a valid international name (IDNA 2008, RFC 5891).") from None
    name = name.removesuffix(".")
    labels = name.split(".")
    _refuse_if("" in labels, "The host has an empty part: a dot too many.")
    _refuse_if(
        max(map(len, labels)) > MAX_LABEL_LENGTH, f"A part of the host is over {MAX_LABEL_LENGTH} characters."
    )
    _refuse_if(len(name) > MAX_HOST_LENGTH, f"The host is over {MAX_HOST_LENGTH} characters.")
    # The underscore is no host name by RFC 952 but common inside container networks, and harmless.
    well_formed = all(re.fullmatch(r"(?!-)[a-z0-9_-]+(?<!-)", label) for label in labels)
    _refuse_if(not well_formed, "The host may only hold letters, digits, dots and inner hyphens.")
    return name


def _loose_ipv4(labels: list[str]) -> IPv4Address | None:
    """The address as inet_aton(3) reads it: one to four decimal, octal or hexadecimal numbers."""
    numbers = [_loose_number(label) for label in labels]
    *leading, last = [number for number in numbers if number is not None] or [0]
    if (
        None in numbers
        or len(labels) > 4
        or max(leading, default=0) > 255
        or last >= 256 ** (5 - len(labels))
    ):
        return None
    return IPv4Address(last + sum(number << 8 * (3 - place) for place, number in enumerate(leading)))


def _loose_number(label: str) -> int | None:
    for pattern, base in ((r"0x([0-9a-f]*)", 16), (r"0([0-7]*)", 8), (r"([1-9][0-9]*)", 10)):
        if match := re.fullmatch(pattern, label):
            return int(match[1] or "0", base)
    return None


def _name_problem(name: str, port: int, policy: TargetPolicy) -> str | None:
    if (name, port) in policy.allowed_hosts:
        return None
    if name == "localhost" or name.endswith(".localhost"):
        # libcurl answers these itself, always with loopback (RFC 6761, section 6.3).
        problem = address_problem("127.0.0.1", port, name, policy)
        return problem and f"{name} is this machine itself. {problem}"
    if (name, port) in policy.own_listeners:
        return f"{name} port {port} is where this platform itself listens. Deliveries do not go there."
    return _port_problem(port, policy)


def _encoded(text: str) -> str:
    # Square brackets stay: servers read a[]=1 in a query as typed, and no parser looks for a host here.
    return quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text), safe="/?:@!$&'()*+,;=%[]")


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
        host, port = _host_and_port(entry, 0)
        name, address = _parse_host(host)
    except TargetRefused as refused:
        raise ValueError(f"{entry!r} in the allow list is not a host and port: {refused}") from None
    if not 1 <= port <= 65535:
        raise ValueError(f"{entry!r} in the allow list needs a port from 1 to 65535, as in 127.0.0.1:8100.")
    if address:
        _refuse_never(entry, ip_network(address))
    return name, port


def _refuse_never(entry: str, network: Network) -> None:
    for low, high, found in _BOUNDS[network.version]:
        if found.never and low <= int(network[0]) and int(network[-1]) <= high:
            raise ValueError(f"{entry!r} in the allow list is {found.what}. No setting opens it.")


def canonical_host(host: str) -> str:
    """The one spelling of a host name or an address; raises TargetRefused."""
    return _parse_host(f"[{host}]" if ":" in host and not host.startswith("[") else host)[0]


# What the platform sets itself, what describes the body it sends, and what belongs to one connection
# (RFC 9110, section 7.6.1; RFC 9113, section 8.2.2).
_RESERVED_HEADERS = frozenset(
    "host content-length content-type content-encoding transfer-encoding".split()
    + "connection keep-alive te trailer upgrade expect http2-settings".split()
)
_RESERVED_PREFIXES = ("webhook-", "proxy-")


def header_problem(name: str, value: str) -> str | None:
    """Why an admin may not add this header, as a sentence that never holds the value; None when allowed."""
    if not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name):
        return "A header name may only hold letters, digits and !#$%&'*+-.^_`|~ (RFC 9110)."
    if name.lower() in _RESERVED_HEADERS or name.lower().startswith(_RESERVED_PREFIXES):
        return f"The header {name} is reserved: the platform sets it or it concerns the connection."
    if not re.fullmatch(r"[\t\x20-\x7e]*", value):
        return f"The value of {name} may only hold printable ASCII characters, without line breaks."
    if not value or value != value.strip():
        # libcurl drops a header without a value, and receivers drop outer white space: both would puzzle.
        return f"The value of {name} must not be empty, nor start or end with white space."
    return None


def headers_problem(headers: Sequence[tuple[str, str]]) -> str | None:
    """Why an admin may not add these headers together; sizes count as on the wire (HTTP/1.1)."""
    if len(headers) > MAX_HEADERS:
        return f"There are {len(headers)} headers; an endpoint may have {MAX_HEADERS}."
    seen: set[str] = set()
    for name, value in headers:
        if problem := header_problem(name, value):
            return problem
        if name.lower() in seen:
            return f"The header {name} is there twice."
        seen.add(name.lower())
    size = sum(len(name) + len(value) + 4 for name, value in headers)
    return (
        f"The headers take {size} bytes; the limit is {MAX_HEADER_BYTES}."
        if size > MAX_HEADER_BYTES
        else None
    )
