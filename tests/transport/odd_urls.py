"""Spell URLs and hosts in every way that programs may read differently."""


def wide(text: str) -> str:
    """Return the full-width form of ASCII text, which international names fold back to ASCII."""
    return "".join(chr(ord(char) + 0xFEE0) for char in text)


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
    ("https://a.example/" + "a" * 2031, "is over 2048 characters."),
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

ODD_IPV4 = f"""
    2130706433 0x7f.1 0177.0.0.1 127.1 127.0.1 0x7f000001 0X7F.0.0.1 017700000001 127.0.0.01 0 0x 8.8.2056
    134744072 {wide("2130706433")} {wide("0x7f.1")} {wide("127")}.1 ①②⑦.1 127。1 0177.0.0.1.
"""

LITERALS = f"""
    127.0.0.1 127.0.0.1. {wide("127.0.0.1")} {wide("127")}.0.0.1 127。0。0。1 10.0.0.5 169.254.169.254 0.0.0.0
    [::1] [::ffff:7f00:1] [fe80::1] [0:0:0:0:0:0:0:1] [::FFFF:127.0.0.1] [64:ff9b::7f00:1] [fd00:ec2::254]
    [fd12::1]
"""

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
