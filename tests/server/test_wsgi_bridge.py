"""From ASGI to WSGI and back: what an application gets, and that it always hears of the end."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.server.running_server import serving
from webhooks_app.server.wsgi_environ import environ_of
from webhooks_app.web.responses import CutShort

SCOPE: dict[str, Any] = {
    "method": "POST",
    "raw_path": b"/a%20b/%C3%BC",
    "query_string": b"c=%20d",
    "http_version": "1.1",
    "scheme": "http",
    "server": ("127.0.0.1", 8000),
    "client": ("192.0.2.1", 1234),
    "headers": [
        (b"host", b"example.com"),
        (b"content-type", b"text/plain"),
        (b"content-length", b"99"),
        (b"x-a", b"1"),
        (b"x_a", b"forged"),
        (b"x-a", b"2"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"x-latin", b"\xfc"),
    ],
}


def test_the_environment_is_that_of_pep_3333() -> None:
    environ = environ_of(SCOPE, b"body")
    assert environ["PATH_INFO"] == "/a b/ü".encode().decode("latin-1")
    assert environ["SCRIPT_NAME"] == ""
    assert environ["QUERY_STRING"] == "c=%20d"
    assert environ["wsgi.input"].read() == b"body"
    assert environ["CONTENT_LENGTH"] == "4"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["REMOTE_ADDR"] == "192.0.2.1"
    headers = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    assert headers == {
        "HTTP_HOST": "example.com",
        "HTTP_X_A": "1,2",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_X_LATIN": "\xfc",
    }


class Source:
    """A body that is made piece by piece, breaks before one of them, and notes that it was closed."""

    def __init__(self, breaks_before: int | None) -> None:
        self.breaks_before = breaks_before
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for number in range(3):
            if number == self.breaks_before:
                raise RuntimeError("no more")
            yield b"%d" % number * 100_000

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.parametrize("breaks_before", [None, 0, 1])
def test_a_body_is_closed_once_however_it_ends(has_length: bool, breaks_before: int | None) -> None:
    source = Source(breaks_before)

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", "300000")] if has_length else [])
        return source

    with serving(application) as server:
        answer = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert source.closed == 1
    if breaks_before is None:
        assert answer.startswith(b"HTTP/1.1 200 ")
    elif breaks_before == 0 or has_length:
        assert answer.startswith(b"HTTP/1.1 500 ")
    else:
        assert not answer.endswith(b"0\r\n\r\n")  # cut short, and seen to be


def test_a_body_that_is_cut_short_ends_without_its_end_and_without_a_complaint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def parts() -> Iterator[bytes]:
        yield b"first\n"
        yield b"why there is no more\n"
        raise CutShort

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [])
        return parts()

    with serving(application) as server:
        answer = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"first\nwhy there is no more\n" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert caplog.records == []


def test_an_answer_has_one_date_though_the_application_gives_one() -> None:
    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [("Date", "Thu, 26 Nov 2026 15:35:25 GMT"), ("Content-Length", "0")])
        return []

    with serving(application) as server:
        answer = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.lower().count(b"\r\ndate: ") == 1
