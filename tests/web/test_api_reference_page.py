"""The page of the API's reference."""

from pathlib import Path

import pytest
from flask import Flask

from tests.events import shop_catalog
from tests.web.conftest import Page
from webhooks_app.events import catalog
from webhooks_app.extensions import services
from webhooks_app.web.api.all_operations import OPERATIONS

_ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@_ON_ONE_DATABASE
def test_every_operation_is_on_the_page_with_what_it_takes(viewer_page: Page, home: str) -> None:
    text = viewer_page.get(f"{home}api/").text
    for operation in OPERATIONS:
        assert f'<details id="{operation.id}">' in text
        assert f"{operation.method} {operation.path}" in text
        for name in (*operation.parameters, *operation.headers):
            assert f"<code>{name}</code>" in text
    assert "Needs the scope endpoints:write." in text
    assert "<code>timeout_seconds</code>" in text


@_ON_ONE_DATABASE
def test_the_page_leads_to_the_document_and_to_no_other_host(viewer_page: Page, home: str) -> None:
    text = viewer_page.get(f"{home}api/").text
    for name in ("openapi.json", "openapi.yaml"):
        assert f'href="/api/v1/{name}"' in text
        assert viewer_page.get(f"/api/v1/{name}").status_code == 200
    assert '<script src="http' not in text


@_ON_ONE_DATABASE
def test_what_consumers_get_is_on_it_with_the_fields_of_its_data(
    app: Flask, viewer_page: Page, home: str, tmp_path: Path
) -> None:
    vars(services(app))["catalog"] = catalog.load(shop_catalog.write(tmp_path))
    text = viewer_page.get(f"{home}api/").text.partition(">Webhooks</h2>")[2]
    assert "POST order.paid" in text and "POST batch-lifecycle" in text
    own = text.partition('<details id="onOrderPaid">')[2].partition("</details>")[0]
    for name in ("webhook-signature", "timestamp", "data.order_id", "data.any"):
        assert f"<code>{name}</code>" in own
    assert "Tried again, not before <code>Retry-After</code>." in own
    assert "<script>alert" not in own and "<b>bold" not in own
