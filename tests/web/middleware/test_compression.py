"""What leaves under gzip: long texts, and no page that a stranger can put guesses into."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.conftest import Workspace
from tests.web.conftest import Page
from webhooks_app import config
from webhooks_app.web.middleware.compression import SMALLEST_BYTES

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

STYLES = "/static/css/console.css"
GZIP = {"Accept-Encoding": "gzip, deflate, br"}
Get = Callable[..., TestResponse]


@pytest.fixture
def static(app: Flask) -> Get:
    def get(path: str = STYLES, method: str = "GET", **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return app.test_client().open(path, method=method, headers=GZIP | named, buffered=True)

    return get


def is_compressed(response: TestResponse) -> bool:
    return response.headers.get("Content-Encoding") == "gzip"


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        *(
            (text, True)
            for text in ("gzip", "GZIP", "*", "br, gzip;q=0.1", "identity, gzip", "identity;q=0, gzip")
        ),
        *((text, False) for text in ("", "br", "gzip;q=0", "*;q=0", "identity;q=1, gzip;q=0.5", "x-unknown")),
    ],
)
def test_the_client_chooses(static: Get, accepted: str, expected: bool) -> None:
    answer = static(Accept_Encoding=accepted)
    assert is_compressed(answer) == expected
    assert "Accept-Encoding" in answer.vary
    content = gzip.decompress(answer.data) if expected else answer.data
    assert content == (config.ROOT / "static" / "css" / "console.css").read_bytes()
    assert answer.content_length == len(answer.data)


def files() -> list[Path]:
    return sorted(path for path in (config.ROOT / "static").rglob("*") if path.is_file())


def test_every_long_text_among_the_static_files_is_compressed(static: Get) -> None:
    for path in files():
        answer = static(f"/static/{path.relative_to(config.ROOT / 'static')}")
        is_text = path.suffix in (".css", ".js", ".svg", ".txt")
        assert is_compressed(answer) == (is_text and path.stat().st_size >= SMALLEST_BYTES), path
        assert len(answer.data) <= path.stat().st_size


def test_head_says_what_get_sends(static: Get) -> None:
    head, get = static(method="HEAD"), static()
    assert head.data == b""
    for name in ("Content-Length", "Content-Encoding", "Content-Type", "ETag", "Vary", "Cache-Control"):
        assert head.headers[name] == get.headers[name]


def test_each_variant_has_an_etag_of_its_own_and_is_not_sent_again(static: Get) -> None:
    compressed, plain = static(), static(Accept_Encoding="identity")
    assert compressed.headers["ETag"] != plain.headers["ETag"]
    for first, accepted in ((compressed, "gzip"), (plain, "identity"), (plain, "gzip")):
        again = static(Accept_Encoding=accepted, If_None_Match=first.headers["ETag"])
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert "Accept-Encoding" in again.vary
        assert "Content-Encoding" not in again.headers
    assert static(If_None_Match='"another"').status_code == 200


def test_a_range_is_of_the_file_as_it_is(static: Get) -> None:
    part, plain = static(Range="bytes=0-9"), static(Accept_Encoding="identity")
    assert (part.status_code, part.data) == (206, plain.data[:10])
    assert not is_compressed(part)
    assert part.headers["ETag"] == plain.headers["ETag"]
    whole = static(Range="bytes=0-9", If_Range=static().headers["ETag"])
    assert (whole.status_code, is_compressed(whole)) == (200, True)
    assert "Accept-Ranges" not in whole.headers


def test_long_answers_of_the_api_are_compressed(app: Flask, workspace: Workspace) -> None:
    client = app.test_client()
    long = client.get("/api/v1/event-types", headers=workspace.headers | GZIP)
    plain = client.get("/api/v1/event-types", headers=workspace.headers)
    assert is_compressed(long)
    assert gzip.decompress(long.data) == plain.data
    assert "Accept-Encoding" in plain.vary
    short = client.get("/api/v1/events/evt_none", headers=workspace.headers | GZIP)
    assert not is_compressed(short)


@pytest.mark.parametrize(
    ("url", "site", "expected"),
    [
        ("", "same-origin", True),
        ("", "none", True),
        ("", None, True),
        ("", "same-site", False),
        ("", "cross-site", False),
        ("?q=guess", "same-origin", True),  # the console's own form
        ("?q=guess", "none", False),
        ("?q=guess", None, False),
        ("?q=guess", "same-site", False),
        ("?q=guess", "cross-site", False),
        ("?q=guess", "new word", False),
    ],
)
def test_no_page_that_another_site_may_have_put_a_guess_into_is_compressed(
    admin_page: Page, url: str, site: str | None, expected: bool
) -> None:
    headers = GZIP | ({"Sec-Fetch-Site": site} if site else {})
    answer = admin_page.get(url, headers=headers)
    assert answer.status_code == 200
    assert is_compressed(answer) == expected


def test_no_answer_to_a_form_is_compressed(admin_page: Page, home: str) -> None:
    data: dict[str, Any] = {"name": "Billing", "scopes": "events:send", "csrf_token": admin_page.token()}
    headers = GZIP | {"Sec-Fetch-Site": "same-origin"}
    made = admin_page._open("POST", f"{home}tokens/", data=data, headers=headers)
    assert (made.status_code, "tok_" in made.text, is_compressed(made)) == (200, True, False)


def test_an_export_goes_out_as_it_comes(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(50)
    headers = GZIP | {"Sec-Fetch-Site": "same-origin"}
    export = admin_page.get("deliveries/export?format=csv", headers=headers)
    assert (export.status_code, is_compressed(export)) == (200, False)
    assert len(export.data) > SMALLEST_BYTES
