"""Compare the host that was judged with the one that libcurl and urllib see. Nothing is connected."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import pycurl
import pytest

from tests.transport.odd_urls import LITERALS, NORMALISED, ODD_IPV4, SCHEMES, SPELLINGS
from tests.transport.policies import EVERYTHING, refusal_of
from webhooks_app.transport.target_urls import normalise_url

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


@pytest.mark.parametrize("typed", [url for url in NASTY if refusal_of(url, EVERYTHING) is None])
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
    assert sum(refusal_of(url, EVERYTHING) is None for url in NASTY) > 35
