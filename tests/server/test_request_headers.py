"""What the application believes and answers of headers, with the product's own server before it."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from flask import Flask

from tests.conftest import make_settings, opened
from tests.server.running_server import RunningServer, serving
from tests.web.middleware.test_request_checks import app_that_shows_what_it_sees

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

TWINS = (
    b"X_Forwarded_For: 203.0.113.66\r\nX_Forwarded_Proto: https\r\nSCRIPT_NAME: /evil\r\n"
    b"Script_Name: /evil\r\nRemote_Addr: 203.0.113.66\r\nX_Real_IP: ::1\r\nHTTP_HOST: evil.example\r\n"
)


@pytest.fixture(params=["0", "1"])
def proxies(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def app(database_url: str, redis_url: str, tmp_path: Path, proxies: str) -> Iterator[Flask]:
    settings = make_settings(database_url, redis_url, tmp_path, WEBHOOKS_TRUSTED_PROXIES=proxies)
    with opened(app_that_shows_what_it_sees(settings)) as app:
        yield app


@pytest.fixture
def server(app: Flask) -> Iterator[RunningServer]:
    with serving(app) as running:
        yield running


def seen(server: RunningServer, headers: bytes) -> list[str]:
    head = b"GET /seen HTTP/1.1\r\nHost: console.example\r\nConnection: close\r\n%s\r\n" % headers
    return server.exchange(head).partition(b"\r\n\r\n")[2].decode().split()


def test_a_name_with_underscores_stands_for_no_other(server: RunningServer) -> None:
    assert seen(server, TWINS) == ["127.0.0.1", "http", "console.example", "-"]


def test_a_twin_takes_no_place_of_what_the_proxy_says(server: RunningServer, proxies: str) -> None:
    real = b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
    told = ["203.0.113.9", "https"] if proxies == "1" else ["127.0.0.1", "http"]
    for headers in (TWINS + real, real + TWINS):
        assert seen(server, headers) == [*told, "console.example", "-"]


def test_a_compressed_file_arrives_whole_and_a_head_without_it(server: RunningServer) -> None:
    url = f"http://127.0.0.1:{server.port}/static/css/console.css"
    with requests.Session() as session:
        session.headers["Accept-Encoding"] = "gzip"
        head, get = session.head(url, timeout=30), session.get(url, timeout=30, stream=True)
        raw = get.raw.read(decode_content=False)
        assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(raw))
        assert gzip.decompress(raw).startswith(b"/*")
        again = session.get(url, timeout=30, headers={"If-None-Match": get.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
