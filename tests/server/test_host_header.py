"""One host, and a host it is."""

import pytest

from tests.server.running_server import serving
from tests.server.test_connections import application
from webhooks_app.server import host_header
from webhooks_app.web.api.errors import ApiError

GOOD = [
    "example.com",
    "EXAMPLE.com:8000",
    "127.0.0.1:1",
    "[::1]",
    "[2001:db8::1]:443",
    "web_1:80",
    "a",
    "a.b.",
]
ODD = [
    *(
        "",
        " ",
        "a b",
        "a,b",
        "a@b",
        "http://a",
        "a/b",
        "a?b",
        "a:",
        "a:b",
        "a:123456",
        "[::1",
        "::1",
        "a:1:2",
    ),
    *("[::zz]", "-a", ".", "a\tb", "é", "a%00", "<b>"),
]


@pytest.mark.parametrize("host", GOOD)
def test_a_host_is_taken(host: str) -> None:
    host_header.check("1.1", [(b"accept", b"*/*"), (b"host", host.encode())])


@pytest.mark.parametrize("host", ODD)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ApiError) as refused:
        host_header.check("1.1", [(b"host", host.encode())])
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "hosts", [b"", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nHost: b\r\n", b"Host: a@b\r\n", b"Host: a, b\r\n"]
)
@pytest.mark.parametrize("line", [b"GET /2 HTTP/1.1", b"POST /api/v1/events HTTP/1.1\r\nContent-Length: 0"])
def test_a_request_without_one_host_is_answered_400(line: bytes, hosts: bytes) -> None:
    with serving(application) as server:
        answer = server.exchange(line + b"\r\n" + hosts + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Host header" in answer


def test_an_old_client_needs_to_name_none() -> None:
    with serving(application) as server:
        assert server.exchange(b"GET /2 HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert server.exchange(b"GET /2 HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_chunks_of_an_old_client_are_refused() -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with serving(application) as server:
        answer = server.exchange(b"POST /2 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + chunked)
        assert answer.startswith(b"HTTP/1.1 400 ")
        answer = server.exchange(b"POST /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + chunked)
        assert answer.startswith(b"HTTP/1.1 200 ")
