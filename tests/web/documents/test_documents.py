"""The documents under /docs: for anybody, kept by browsers, under a policy without inline scripts."""

from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def site(app: Flask, tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "_static").mkdir(parents=True)
    (folder / "reference").mkdir()
    (folder / "index.html").write_text("<h1>Start</h1>" + "word " * 500)
    (folder / "reference" / "index.html").write_text("<h1>Reference</h1>")
    (folder / "consumers.html").write_text("<h1>Consumers</h1>")
    (folder / "consumers.md").write_text("# Consumers — of the site")
    (folder / "_static" / "site.css").write_text("p {}")
    (tmp_path / "secret.txt").write_text("not for anybody")
    app.config["DOCUMENTS_FOLDER"] = folder
    return folder


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.open = partial(client.open, buffered=True)  # type: ignore[method-assign]
    return client


@pytest.mark.usefixtures("site")
def test_anybody_reads_the_site_and_is_given_no_session(client: FlaskClient) -> None:
    answer = client.get("/docs", follow_redirects=True)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "<h1>Start</h1>" in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.usefixtures("site")
def test_the_policy_allows_no_inline_script_and_nothing_from_elsewhere(client: FlaskClient) -> None:
    headers = client.get("/docs/consumers.html").headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == (
        "'none'",
        "'self'",
        "'self'",
    )
    assert policy["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.usefixtures("site")
def test_pages_are_kept_for_minutes_and_what_has_a_digest_for_good(client: FlaskClient) -> None:
    page = client.get("/docs/")
    assert page.cache_control.public and page.cache_control.max_age == 300
    again = client.get("/docs/", headers={"If-None-Match": page.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get("/docs/_static/site.css").cache_control.max_age == 300
    assert client.get("/docs/_static/site.css?v=0a1b2c3d").cache_control.immutable


@pytest.mark.usefixtures("site")
def test_long_pages_are_compressed_also_for_who_comes_from_elsewhere(client: FlaskClient) -> None:
    foreign = {"Accept-Encoding": "gzip", "Sec-Fetch-Site": "cross-site"}
    assert client.get("/docs/", headers=foreign).headers["Content-Encoding"] == "gzip"


@pytest.mark.usefixtures("site")
def test_a_pages_markdown_is_beside_it(client: FlaskClient) -> None:
    answer = client.get("/docs/consumers.md")
    assert answer.content_type == "text/markdown; charset=utf-8"
    assert answer.text == "# Consumers — of the site"


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("consumers", "consumers.html"),
        ("consumers/", "consumers.html"),
        ("reference", "reference/index.html"),
        ("reference/", "reference/index.html"),
    ],
)
def test_an_address_without_its_suffix_leads_to_the_page(client: FlaskClient, path: str, page: str) -> None:
    answer = client.get(f"/docs/{path}")
    assert (answer.status_code, answer.location) == (302, f"/docs/{page}")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "nothing.html",
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "/etc/passwd",
        "%00",
        "../README.html",
        "%2e%2e/README.html",
        "../README",
        "x" * 300,
        "x" * 300 + ".html",
        "x" * 5000,
    ],
)
def test_nothing_else_is_found(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/docs/{path}")
    assert answer.status_code == 404
    assert "not for anybody" not in answer.text


def test_a_checkout_without_the_site_says_how_to_build_it_and_has_the_markdown(
    app: Flask, client: FlaskClient, tmp_path: Path
) -> None:
    app.config["DOCUMENTS_FOLDER"] = tmp_path / "nowhere"
    foreign = {"Accept-Encoding": "gzip", "Sec-Fetch-Site": "cross-site"}
    page = client.get("/docs/", headers=foreign)
    assert page.status_code == 200
    assert "Content-Encoding" not in page.headers  # as on any page of the console, a form's token is on it
    assert "make docs" in page.text
    assert 'href="/docs/production.md"' in page.text
    assert client.get("/docs/production.md").text.startswith("# ")
    assert client.get("/docs/consumers.html").location == "/docs/consumers.md"
    assert client.get("/docs/images/deliveries.png").status_code == 404
