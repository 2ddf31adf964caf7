"""Where deliveries may go; each group names its line of the security bar."""

from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import pycurl
import pytest

from webhooks_app.transport.host_names import TargetRefused
from webhooks_app.transport.target_policy import DENIED_PORTS, TargetPolicy, address_problem, parse_allow_list
from webhooks_app.transport.target_urls import normalise_url, url_problem

STRICT = TargetPolicy()
EVERYTHING = TargetPolicy(allow_http=True, allowed_networks=(ip_network("0.0.0.0/0"), ip_network("::/0")))


def policy_allowing(text: str, *own_listeners: tuple[str, int]) -> TargetPolicy:
    networks, hosts = parse_allow_list(text)
    return TargetPolicy(True, networks, hosts, own_listeners=frozenset(own_listeners))


def wide(text: str) -> str:
    """The full-width form of ASCII text, which international names fold back to ASCII."""
    return "".join(chr(ord(char) + 0xFEE0) for char in text)


# Addresses: lines 1 to 6, and 8 and 9 as far as the judged address goes

PUBLIC = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 100.63.255.255 100.128.0.0
    126.255.255.255 128.0.0.0 192.0.1.0 198.17.255.255 198.20.0.0 223.255.255.255 168.63.129.17
    169.253.255.255 169.255.0.0 2606:4700:4700::1111 2a00:1450::200e 2001:200::1 2001:db7::1 2001:db9::1
    2003::1 3ffe::1 2000::1
"""


@pytest.mark.parametrize("ip", PUBLIC.split())
def test_a_public_address_is_allowed(ip: str) -> None:
    assert address_problem(ip, 443, "hooks.example.com", STRICT) is None


FORBIDDEN = [
    ("127.0.0.1 127.255.255.255 ::1", "loopback"),
    ("0.0.0.0 0.1.2.3", "this network"),
    ("::", "unspecified"),
    (
        "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255",
        "private address (RFC 1918)",
    ),
    ("169.254.0.0 169.254.169.254 169.254.170.2 fe80::1 febf::1 fe80::1%eth0", "link-local"),
    ("168.63.129.16", "Azure"),
    ("100.100.100.200", "Alibaba"),
    ("192.0.0.192 fd00:c1::a9fe:a9fe", "Oracle"),
    ("fd00:ec2::254 fd00:ec2::23", "Amazon"),
    ("fd20:ce::254", "Google"),
    ("fd00:42::42", "Scaleway"),
    ("100.64.0.0 100.127.255.255", "carrier NAT"),
    ("198.18.0.0 198.19.255.255", "benchmarking"),
    ("192.0.2.1 198.51.100.1 203.0.113.255 2001:db8::1 3fff::1", "documentation"),
    ("192.88.99.1", "6to4 relay"),
    ("192.0.0.1 2001:2::1 2001:10::1 2001:1ff::1", "IETF protocol"),
    ("224.0.0.0 239.255.255.255 ff02::1 ff0e::1", "multicast"),
    ("240.0.0.0 255.255.255.254", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::ffff:8.8.8.8", "IPv4-mapped"),
    ("::8.8.8.8", "IPv4-compatible"),
    ("::ffff:0:8.8.8.8", "IPv4-translated"),
    ("64:ff9b::8.8.8.8", "NAT64"),
    ("64:ff9b:1::8.8.8.8 64:ff9b:1:808:8:800::", "local NAT64"),
    ("2002:808:808::1", "6to4 address"),
    ("2001:0:808:808::f7f7:f7f7", "Teredo"),
    ("fc00::1 fdff::1", "unique local"),
    ("fec0::1 feff::1", "site-local"),
    ("1:2::3 100::1 1fff::1 4000::1 5f00::1 8000::1 fe00::1", "outside 2000::/3"),
]


@pytest.mark.parametrize(("ip", "reason"), [(ip, why) for ips, why in FORBIDDEN for ip in ips.split()])
def test_an_address_that_is_not_public_is_refused_with_its_reason(ip: str, reason: str) -> None:
    problem = address_problem(ip, 443, "hooks.example.com", STRICT)
    assert problem and problem.startswith(ip) and reason in problem and problem.endswith(".")


def test_the_reason_is_a_sentence_an_admin_can_act_on() -> None:
    expected = "10.0.0.5 is a private address (RFC 1918). Deliveries only go to public addresses."
    assert address_problem("10.0.0.5", 443, "hooks.example.com", STRICT) == expected


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "/run/web.sock", "010.0.0.1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    assert "is not an IP address" in str(address_problem(text, 443, "hooks.example.com", EVERYTHING))


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
    assert f"leads to {inner}, " in str(address_problem(embed(form, inner), 443, "x.example", STRICT))


@pytest.mark.parametrize("form", EMBEDDING)
def test_opening_a_transition_range_does_not_open_what_it_leads_to(form: str) -> None:
    transition = "::/95, ::ffff:0:0/96, ::ffff:0:0:0/96, 64:ff9b::/96, 2002::/16, 2001::/32"
    policy = policy_allowing(transition)
    assert address_problem(embed(form, "8.8.8.8"), 443, "x.example", policy) is None
    assert "10.0.0.5, a private" in str(address_problem(embed(form, "10.0.0.5"), 443, "x.example", policy))
    both = policy_allowing(f"{transition}, 10.0.0.0/8")
    assert address_problem(embed(form, "10.0.0.5"), 443, "x.example", both) is None


def test_opening_ipv4_does_not_open_its_mapped_form() -> None:
    problem = address_problem("::ffff:10.0.0.5", 443, "x.example", policy_allowing("10.0.0.0/8"))
    assert "IPv4-mapped" in str(problem)


# What the allow list opens, and what it never opens: line 4

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
        assert "No setting opens it." in str(address_problem(ip, 8443, host, policy))


@pytest.mark.parametrize(
    "ip", "10.1.2.3 127.0.0.1 ::1 fd12::1 100.64.0.1 203.0.113.1 240.0.0.1 fec0::1 5f00::1".split()
)
def test_an_allowed_network_opens_its_addresses(ip: str) -> None:
    assert address_problem(ip, 443, "x.example", EVERYTHING) is None


def test_an_allowed_network_opens_no_neighbour_and_no_port() -> None:
    policy = policy_allowing("10.0.0.0/16")
    assert address_problem("10.0.255.255", 443, "x.example", policy) is None
    assert "private" in str(address_problem("10.1.0.0", 443, "x.example", policy))
    assert "Port 6379" in str(address_problem("10.0.0.1", 6379, "x.example", policy))


def test_an_allowed_pair_opens_one_port_of_one_address() -> None:
    policy = policy_allowing("127.0.0.1:8100, [::1]:6379")
    assert address_problem("127.0.0.1", 8100, "127.0.0.1", policy) is None
    assert address_problem("::1", 6379, "[::1]", policy) is None
    assert "loopback" in str(address_problem("127.0.0.1", 8101, "127.0.0.1", policy))
    assert "loopback" in str(address_problem("127.0.0.2", 8100, "127.0.0.2", policy))


def test_an_allowed_name_opens_what_it_resolves_to_and_no_other_name() -> None:
    policy = policy_allowing("Hooks.Internal:8443")
    assert address_problem("10.0.0.5", 8443, "hooks.internal", policy) is None
    assert "private" in str(address_problem("10.0.0.5", 8443, "other.internal", policy))
    assert "private" in str(address_problem("10.0.0.5", 443, "hooks.internal", policy))


def test_the_allow_list_reads_networks_and_pairs() -> None:
    networks, hosts = parse_allow_list(
        " 10.0.0.0/8, 127.0.0.1:8100,[::1]:9000,\n hooks.internal:8443, bücher.test:80, "
    )
    assert networks == (ip_network("10.0.0.0/8"),)
    names = {("127.0.0.1", 8100), ("::1", 9000), ("hooks.internal", 8443), ("xn--bcher-kva.test", 80)}
    assert hosts == names
    assert parse_allow_list("") == ((), frozenset())


MALFORMED = """
    10.0.0.1/8 10.0.0.0/33 a/b localhost 10.0.0.5 ::1 ::1:9000 x:0 x:65536 x:http x: :80 *.x:80 a..b:80
    http://x:80 0x7f.1:80 u@x:80 169.254.0.0/16 169.254.169.254:80 fe80::/64 [fd00:ec2::254]:80 0.0.0.0:80
"""


@pytest.mark.parametrize("entry", MALFORMED.split())
def test_a_malformed_or_useless_allow_list_entry_is_named(entry: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_allow_list(f"10.0.0.0/8, {entry}")
    assert repr(entry) in str(caught.value) and str(caught.value).endswith(".")


# Own listener: line 16

OWN = ("127.0.0.1", 8000), ("0:0:0:0:0:0:0:1", 8000), ("Console.Example.com.", 443)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/", "http://[::1]:8000/", "https://console.example.com/x"]
)
def test_the_own_listener_is_refused_even_in_an_allowed_network(url: str) -> None:
    policy = policy_allowing("127.0.0.0/8, ::1/128", *OWN)
    assert "platform itself listens" in str(url_problem(url, policy))
    assert (
        url_problem(url, policy_allowing("127.0.0.1:8000, [::1]:8000, console.example.com:443", *OWN)) is None
    )


@pytest.mark.parametrize("listener", ["0.0.0.0", "::", "localhost"])
@pytest.mark.parametrize("ip", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_wildcard_listener_covers_every_loopback_address(listener: str, ip: str) -> None:
    policy = policy_allowing("127.0.0.0/8, ::/95", (listener, 8000))
    assert "platform itself listens" in str(address_problem(ip, 8000, "x.example", policy))
    assert "itself listens" not in str(address_problem(ip, 8001, "x.example", policy))


@pytest.mark.parametrize("listener", ["0.0.0.0", "::"])
@pytest.mark.parametrize("ip", ["10.0.0.5", "::ffff:10.0.0.5", "9.9.9.9"])
def test_a_wildcard_listener_covers_the_addresses_of_the_machine(listener: str, ip: str) -> None:
    mine = {ip_address("10.0.0.5"), ip_address("9.9.9.9")}
    policy = TargetPolicy(
        allowed_networks=(ip_network("10.0.0.0/8"), ip_network("::ffff:0:0/96")),
        own_listeners=frozenset({(listener, 8000), ("10.0.0.7", 8001)}),
        is_own_address=mine.__contains__,
    )
    assert "platform itself listens" in str(address_problem(ip, 8000, "x.example", policy))
    assert address_problem(ip, 8001, "x.example", policy) is None
    assert address_problem("10.0.0.6", 8000, "x.example", policy) is None


def test_a_public_address_of_the_platform_is_refused_whatever_the_name() -> None:
    policy = TargetPolicy(own_listeners=frozenset({("1.1.1.1", 443), ("console.example.com", 443)}))
    assert "itself listens" in str(address_problem("1.1.1.1", 443, "x.example", policy))
    assert "itself listens" in str(address_problem("9.9.9.9", 443, "console.example.com", policy))


# Ports: line 12


@pytest.mark.parametrize("port", [80, 443, 1024, 3000, 5000, 8000, 8080, 8443, 9000, 65535])
def test_a_web_port_is_allowed(port: int) -> None:
    assert url_problem(f"https://hooks.example.com:{port}/", STRICT) is None
    assert address_problem("1.1.1.1", port, "hooks.example.com", STRICT) is None


@pytest.mark.parametrize(
    "port", [1, 22, 25, 444, 1023, 2375, 3306, 5432, 6000, 6063, 6379, 9200, 11211, 27017]
)
def test_another_port_is_refused_on_save_and_on_connect(port: int) -> None:
    for url in (f"https://hooks.example.com:{port}/", f"https://1.1.1.1:{port}/"):
        assert f"Port {port} is not open" in str(url_problem(url, STRICT))
    assert f"Port {port} is not open" in str(address_problem("1.1.1.1", port, "hooks.example.com", STRICT))


@pytest.mark.parametrize(
    "port", ["0", "65536", "99999", "123456", "-1", "+80", "8o", "٤٤٣", wide("443"), "80:80", "0x50"]
)
def test_a_port_that_is_none_is_refused(port: str) -> None:
    assert "from 1 to 65535" in str(url_problem(f"https://hooks.example.com:{port}/", STRICT))


def test_the_deny_list_is_a_setting_and_spares_what_is_refused_anyway() -> None:
    assert url_problem("https://a.example:6379/", TargetPolicy(denied_ports=frozenset())) is None
    assert "Port 443" in str(url_problem("https://a.example/", TargetPolicy(denied_ports=frozenset({443}))))
    assert min(DENIED_PORTS) >= 1024 and not DENIED_PORTS & {3000, 5000, 8000, 8080, 8081, 8443, 8888, 9000}


# Schemes: line 13


@pytest.mark.parametrize("url", ["http://a.example/", "HTTP://a.example/"])
def test_http_needs_the_deployments_leave(url: str) -> None:
    assert url_problem(url, STRICT) == "The URL must start with https://."
    assert normalise_url(url, EVERYTHING) == "http://a.example/"


SCHEMES = [
    "ftp://a.example/",
    "file:///etc/passwd",
    "gopher://a.example/",
    "javascript:alert(1)",
    "data:,x",
    "a.example",
]
SCHEMES += [
    "",
    "/path",
    "//a.example/",
    "https:a.example",
    "https:/a.example",
    "https+unix://a.example",
    "a://https://b",
]


@pytest.mark.parametrize("url", SCHEMES)
def test_another_scheme_or_none_is_refused(url: str) -> None:
    assert "must start with https:// or http://" in str(url_problem(url, EVERYTHING))


# Spelling: line 14

SPELLINGS = [
    ("https://user@a.example/", "user name or password"),
    ("https://user:pw@a.example/", "user name or password"),
    ("https://@a.example/", "user name or password"),
    ("https://a.example:443@b.example/", "user name or password"),
    (f"https://a.example{wide('@')}b.example/", "not a valid"),
    ("https://a.example\\@b.example/", "backslash"),
    ("https://a.example/a\\b", "backslash"),
    *(
        (f"https://a.ex{char}ample/", "invisible")
        for char in "\r\n\t\0\x0b\x7f\x85 \xa0\xad\u200b\u202e\u2028\u3000\ufeff\ud800"
    ),
    *((f"https://a.example/p{char}q", "invisible") for char in "\r\n\t\0 \u2029"),
    (" https://a.example/", "invisible"),
    ("https://a.example/\n", "invisible"),
    ("https://[fe80::1%eth0]/", "zone ids"),
    ("https://[fe80::1%25eth0]/", "zone ids"),
    ("https://%31%32%37.0.0.1/", "encoded hosts"),
    ("https://a%2eexample/", "encoded hosts"),
    (f"https://{'a' * 64}.example/", "over 63"),
    (f"https://{'a.' * 126}aa/", "over 253"),
    (f"https://{'ü' * 300}.example/", "over 253"),
    (f"https://{'ü' * 60}.example/", "not a valid"),
    ("https://a.example/" + "a" * 2031, "over 2048"),
    ("https://a.example/" + "ü" * 400, "over 2048 characters once encoded"),
    ("https://a..b/", "empty part"),
    ("https://.a.example/", "empty part"),
    ("https://a.example../", "empty part"),
    ("https://./", "empty part"),
    ("https://a。。b/", "not a valid"),
    ("https://a.example/#part", "fragment"),
    ("https://a.example#@b.example/", "fragment"),
    ("https:///path", "names no host"),
    ("https://?a", "names no host"),
    ("https://:443/", "must name one host"),
    ("https://a.example:/", "must name one host"),
    ("https://[::1/", "must name one host"),
    ("https://::1/", "must name one host"),
    ("https://[1.1.1.1]/", "not an IPv6"),
    ("https://[v1.a]/", "not an IPv6"),
    ("https://-a.example/", "letters, digits"),
    ("https://a-.example/", "letters, digits"),
    ("https://a.exa*mple/", "letters, digits"),
    ("https://a.example;b.example/", "letters, digits"),
    ("https://a.example,b.example/", "letters, digits"),
    (f"https://a{wide('/')}b.example/", "not a valid"),
    ("https://℀.example/", "not a valid"),
]


@pytest.mark.parametrize(("url", "reason"), SPELLINGS)
def test_a_url_that_programs_may_read_differently_is_refused(url: str, reason: str) -> None:
    problem = url_problem(url, EVERYTHING)
    assert problem and reason in problem and problem.endswith(".") and "pw" not in problem


def test_a_url_problem_is_what_normalising_raises() -> None:
    with pytest.raises(TargetRefused, match=r"10\.0\.0\.5 is a private address"):
        normalise_url("https://10.0.0.5/", STRICT)
    assert url_problem("https://hooks.example.com/", STRICT) is None


# Hosts: lines 1, 7 and 15

ODD_IPV4 = f"""
    2130706433 0x7f.1 0177.0.0.1 127.1 127.0.1 0x7f000001 0X7F.0.0.1 017700000001 127.0.0.01 0 0x 8.8.2056
    134744072 {wide("2130706433")} {wide("0x7f.1")} {wide("127")}.1 ①②⑦.1 127。1 0177.0.0.1.
"""


@pytest.mark.parametrize("host", ODD_IPV4.split())
@pytest.mark.parametrize("policy", [STRICT, EVERYTHING, policy_allowing("127.0.0.1:443, 8.8.8.8:443")])
def test_an_odd_spelling_of_an_ipv4_address_is_refused_with_its_meaning(
    host: str, policy: TargetPolicy
) -> None:
    meaning = (
        "8.8.8.8" if host in ("8.8.2056", "134744072") else "0.0.0.0" if host in ("0", "0x") else "127.0.0.1"
    )
    assert f" means {meaning}. Write addresses in full." in str(url_problem(f"https://{host}/", policy))


@pytest.mark.parametrize(
    "host",
    [
        "256.1.1.1",
        "1.2.3.4.5",
        "1.2.3.4.0",
        "4294967296",
        "1.2.3.256",
        "08.8.8.8",
        "a.1",
        "a.0x1",
        "1.2.3.0xg.9",
    ],
)
def test_a_host_that_ends_in_a_number_but_is_no_address_is_refused(host: str) -> None:
    assert "ends in a number" in str(url_problem(f"https://{host}/", EVERYTHING))


LITERALS = f"""
    127.0.0.1 127.0.0.1. {wide("127.0.0.1")} {wide("127")}.0.0.1 127。0。0。1 10.0.0.5 169.254.169.254 0.0.0.0
    [::1] [::ffff:7f00:1] [fe80::1] [0:0:0:0:0:0:0:1] [::FFFF:127.0.0.1] [64:ff9b::7f00:1] [fd00:ec2::254]
    [fd12::1]
"""


@pytest.mark.parametrize("host", LITERALS.split())
def test_a_literal_address_is_judged_on_save(host: str) -> None:
    assert (
        "No setting" in (problem := str(url_problem(f"https://{host}/", STRICT)))
        or "only go to public" in problem
    )


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "app.localhost", wide("localhost"), "a.b.LocalHost."]
)
def test_localhost_is_refused_unless_allowed(host: str) -> None:
    url = f"https://{host}:8100/"
    assert "this machine itself" in str(url_problem(url, STRICT))
    assert url_problem(url, policy_allowing("127.0.0.1:8100")) is None
    assert url_problem(url, policy_allowing("127.0.0.0/8")) is None
    assert url_problem(url, policy_allowing("127.0.0.1:8101")) is not None
    assert url_problem("https://localhost.example/", STRICT) is None


NORMALISED = [
    ("https://hooks.example.com", "https://hooks.example.com/"),
    ("HTTPS://Hooks.EXAMPLE.com.:443", "https://hooks.example.com/"),
    ("https://a.example:08443/", "https://a.example:8443/"),
    ("https://a.example:80/", "https://a.example:80/"),
    ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    ("https://BÜCHER。example/", "https://xn--bcher-kva.example/"),
    ("https://bu\u0308cher.example/", "https://xn--bcher-kva.example/"),
    ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
    ("https://faß.example/", "https://xn--fa-hia.example/"),
    ("https://\u0430pple.example/", "https://xn--pple-43d.example/"),
    ("https://ⓗooks.example/", "https://hooks.example/"),
    (f"https://{wide('8.8.8.8')}/", "https://8.8.8.8/"),
    ("https://[2606:4700:4700:0:0:0:0:1111]:8443", "https://[2606:4700:4700::1111]:8443/"),
    ("https://r3---sn.a_b.example/", "https://r3---sn.a_b.example/"),
    ("https://1.example/", "https://1.example/"),
    ("https://a.example?q=1", "https://a.example/?q=1"),
    ("https://a.example/?", "https://a.example/?"),
    ("https://a.example//x/../y/./%2e%2E/;p=1", "https://a.example//x/../y/./%2e%2E/;p=1"),
    ("https://a.example/A%2fb%2F+~!$&'()*,=:@?k[]=v&u=https://b.example/?x", None),
    ('https://a.example/ü"<>^`{|}?ü', "https://a.example/%C3%BC%22%3C%3E%5E%60%7B%7C%7D?%C3%BC"),
    ("https://a.example/100%/%zz/%4", "https://a.example/100%25/%25zz/%254"),
    ("https://a.example/" + "a" * 2030, None),
    (f"https://{'a' * 63}.{'b' * 63}.example/", None),
]


@pytest.mark.parametrize(("typed", "expected"), NORMALISED)
def test_a_url_gets_one_spelling_and_keeps_its_path_and_query(typed: str, expected: str | None) -> None:
    normalised = normalise_url(typed, STRICT)
    assert normalised == (expected or typed)
    assert normalise_url(normalised, STRICT) == normalised


# What libcurl makes of an accepted URL; nothing is resolved or connected

NASTY = [typed for typed, _ in NORMALISED] + [url for url, _ in SPELLINGS] + SCHEMES
NASTY += [f"https://{host}:8443/" for host in (ODD_IPV4 + LITERALS).split()]
NASTY += [
    "https://a.example/@b.example/",
    "https://a.example?@b.example/",
    "https://a.example?q=https://b.example:1/",
    "https://a.example//b.example/..//",
    "https://a.example/;@b.example:80/",
    "https://a.example:8443/:@b.example:9000/",
    "https://a.example/%40b.example/%0d%0aHost:%20b.example",
    "https://a.example/{b,c}[1-3]",
    "https://a.example.:8443?.b.example",
    "http://a.example:443/",
    "https://K.example/",
    "https://[2606:4700::0.0.1.1]/",
]


def is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdecimal()


def sockets_libcurl_would_open(url: str, host: str, port: int) -> list[tuple[str, int]]:
    opened: list[tuple[str, int]] = []

    def refuse(_purpose: int, where: tuple[int, int, int, tuple[str, int]]) -> int:
        opened.append((where[3][0], where[3][1]))
        return int(pycurl.SOCKET_BAD)

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.PATH_AS_IS, 1)
    if not is_literal(host):
        # The expected name leads to one address, any other name to another, so no resolver is ever asked.
        others = [f"*:{each}:127.0.0.99" for each in {80, 443, port}]
        curl.setopt(pycurl.RESOLVE, [f"{host}:{port}:127.0.0.7", *others])
    curl.setopt(pycurl.OPENSOCKETFUNCTION, refuse)
    with pytest.raises(pycurl.error):
        curl.perform()
    curl.close()
    return opened


@pytest.mark.parametrize("typed", [url for url in NASTY if url_problem(url, EVERYTHING) is None])
def test_libcurl_and_urllib_see_the_host_that_was_judged(typed: str) -> None:
    url = normalise_url(typed, EVERYTHING)
    judged = urlsplit(url)
    host, port = judged.hostname or "", judged.port or {"https": 443, "http": 80}[judged.scheme]
    [(address, opened_port)] = sockets_libcurl_would_open(url, host, port)
    assert ip_address(address) == ip_address(host if is_literal(host) else "127.0.0.7")
    assert opened_port == port


def test_the_cross_check_would_notice_another_host() -> None:
    assert sockets_libcurl_would_open("https://b.example/", "a.example", 443) == [("127.0.0.99", 443)]


def test_enough_nasty_urls_reach_libcurl() -> None:
    assert sum(url_problem(url, EVERYTHING) is None for url in NASTY) > 35
