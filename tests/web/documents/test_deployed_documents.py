"""The documents of a deployment with event types of its own, on a site with the markup of the real one."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.events import shop_catalog
from webhooks_app.events import catalog
from webhooks_app.extensions import services

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

FRAME = """<html><head><link rel="next" title="x" href="x.html">
<link rel="alternate" type="text/markdown" href="{name}.md"><title>{name} - Avra webhooks</title></head><body>
<ul class="current"><li class="toctree-l1 current current-page has-children">
<a class="current reference internal" href="{list}">Event types</a><input><label>…</label>
<ul><li class="toctree-l2"><a href="x">batch-deleted</a></li></ul></li></ul>
<article role="main" id="furo-main-content"><h1>{name}</h1><p>of the site</p></article>
<footer><div class="related-pages"><a href="x">Next</a></div>
<div class="bottom-of-page">Made with …</div></footer>
<div class="toc-tree"><ul>of the site</ul></div></body></html>
"""


@pytest.fixture
def site(app: Flask, tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "events").mkdir(parents=True)
    (folder / "consumers.html").write_text(FRAME.format(name="consumers", list="events/index.html"))
    (folder / "events" / "index.html").write_text(FRAME.format(name="index", list="#"))
    for name in ("batch-request", "batch-lifecycle"):
        (folder / "events" / f"{name}.html").write_text(FRAME.format(name=name, list="index.html"))
        (folder / "events" / f"{name}.md").write_text(f"# {name}\n\nof the site\n")
    (folder / "llms.txt").write_text(
        "## Reference\n\n- [Event types](events/index.md): All.\n"
        "- [batch-request](events/batch-request.md): Old.\n"
        "- [Settings](reference/settings.md): All.\n"
    )
    index: dict[str, object] = {part: {} for part in ("alltitles", "titleterms")} | {
        "terms": {"requested": 0}
    }
    index |= {part: ["events/batch-request"] for part in ("docnames", "filenames", "titles")}
    (folder / "searchindex.js").write_text(f"Search.setIndex({json.dumps(index)})")
    (folder / "llms-full.txt").write_text("# Start\n\n# batch-request\n\nof the site\n")
    app.config["DOCUMENTS_FOLDER"] = folder
    return folder


@pytest.fixture
def deploy(app: Flask, site: Path, tmp_path: Path) -> Callable[[str], FlaskClient]:
    """Begin anew with the shop's catalog, whose file begins with the text."""

    def deploy(head: str = "") -> FlaskClient:
        own = catalog.load(shop_catalog.write(tmp_path, head))
        vars(services(app))["catalog"] = own  # which is read once in a process
        client = app.test_client()
        client.open = partial(client.open, buffered=True)  # type: ignore[method-assign]
        return client

    return deploy


def test_an_own_event_type_has_a_page_and_its_markdown(deploy: Callable[..., FlaskClient]) -> None:
    client = deploy()
    page = client.get("/docs/events/order.paid.html")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "<title>order.paid - Avra webhooks</title>" in page.text
    assert 'href="order.paid.md"' in page.text
    assert "of the site" not in page.text and 'rel="next"' not in page.text
    assert "<p>Type</p></th>\n<th" in page.text, "a search shows the text alone"
    for text in ("What arrives", "Receiving it", "Sending it", "Schema"):
        assert f">{text}</a>" in page.text  # among the contents
    assert f"curl {services(client.application).settings.base_url}/api/v1/events" in page.text
    twin = client.get("/docs/events/order.paid.md")
    assert twin.mimetype == "text/markdown"
    assert twin.text.startswith("# order.paid\n\nOrder paid.\n\nAn order was paid | in full <script>")
    assert "| `order_id` | string | yes |" in twin.text
    assert client.get("/docs/events/order.paid").location == "/docs/events/order.paid.html"


def test_whatever_a_catalog_says_is_text(deploy: Callable[..., FlaskClient]) -> None:
    client = deploy()
    pages = client.get("/docs/events/order.paid.html").text + client.get("/docs/events/index.html").text
    assert "<script>alert" not in pages and "<b>bold" not in pages and "<i>" not in pages
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages
    assert "Orders &amp; &lt;returns&gt;" in pages
    assert 'href="javascript' not in pages and "[x](javascript:alert)" in pages


def test_every_page_leads_to_the_event_types_that_there_are(deploy: Callable[..., FlaskClient]) -> None:
    client = deploy()
    assert 'href="events/order.paid.html">order.paid</a>' in client.get("/docs/consumers.html").text
    for name in ("index", "order.paid", "batch-lifecycle"):
        text = client.get(f"/docs/events/{name}.html").text
        assert 'href="order.paid.html">order.paid</a>' in text
        assert ">batch-deleted<" not in text
    own = client.get("/docs/events/order.paid.html").text
    assert 'href="index.html">Event types</a>' in own
    assert own.count("current-page") == 2  # of the entry and its link
    index = client.get("/docs/events/index.html").text
    assert "The event types of this platform." in index and "Orders &amp;" in index


def test_a_type_that_takes_a_built_in_ones_place_has_its_own_page(deploy: Callable[..., FlaskClient]) -> None:
    client = deploy()
    assert "A batch was asked for here." in client.get("/docs/events/batch-request.html").text
    assert "of the site" in client.get("/docs/events/batch-lifecycle.html").text
    assert client.get("/docs/events/batch-lifecycle.md").text == "# batch-lifecycle\n\nof the site\n"


def test_what_programs_read_lists_the_same(deploy: Callable[..., FlaskClient]) -> None:
    client = deploy()
    listed = client.get("/docs/llms.txt").text
    assert "- [order.paid](events/order.paid.md): An order was paid" in listed
    assert "- [batch-request](events/batch-request.md): A batch was asked for here\n" in listed
    assert ": Old." not in listed and ": All.\n- [b" not in listed and "reference/settings.md" in listed
    full = client.get("/docs/llms-full.txt").text
    assert full.startswith("# Start") and "# order.paid" in full and "of the site" not in full


def test_the_search_knows_them(deploy: Callable[..., FlaskClient]) -> None:
    answer = deploy().get("/docs/searchindex.js")
    assert (answer.mimetype, answer.cache_control.max_age) == ("text/javascript", 300)
    assert '"events/order.paid"' in answer.text and '"requested": [0]' not in answer.text


def test_a_built_in_type_that_is_left_out_leads_to_the_list(deploy: Callable[..., FlaskClient]) -> None:
    client = deploy('built_in = false\n[[groups]]\nkey = "batches"\ntitle = "Batches"\n')
    gone = client.get("/docs/events/batch-lifecycle.html")
    assert (gone.status_code, gone.location) == (302, "/docs/events/index.html")
    assert "batch-lifecycle" not in client.get("/docs/events/index.html").text
    assert client.get("/docs/events/no-such.html").status_code == 302


def test_a_page_is_kept_until_it_changes(deploy: Callable[..., FlaskClient]) -> None:
    client = deploy()
    page = client.get("/docs/events/order.paid.html")
    assert page.cache_control.max_age == 300
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    again = client.get("/docs/events/order.paid.html", headers={"If-None-Match": page.headers["ETag"]})
    assert (again.status_code, again.text) == (304, "")


@pytest.mark.usefixtures("site")
def test_without_own_event_types_the_site_is_as_it_was_built(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/docs/events/batch-request.html", buffered=True)
    assert page.text == FRAME.format(name="batch-request", list="index.html")
    assert client.get("/docs/events/order.paid.html").status_code == 404


def test_without_a_site_there_is_the_markdown(
    app: Flask, deploy: Callable[..., FlaskClient], tmp_path: Path
) -> None:
    client = deploy()
    app.config["DOCUMENTS_FOLDER"] = tmp_path / "nowhere"
    assert client.get("/docs/events/order.paid.md").text.startswith("# order.paid")
    assert client.get("/docs/events/order.paid.html").location == "/docs/events/order.paid.md"
    assert client.get("/docs/events/../../secret.txt").status_code == 404
