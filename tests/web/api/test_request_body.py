"""Bodies that are too large."""

import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conftest import Workspace
from tests.reading import json_of
from tests.web.api.events import EVENT


@pytest.mark.parametrize("declared", [True, False], ids=["with-length", "chunked"])
def test_a_body_over_the_limit_is_refused(client: FlaskClient, workspace: Workspace, declared: bool) -> None:
    body = json.dumps(EVENT | {"data": {"batch_id": "b" * 300_000, "status": "failed"}}).encode()
    options: dict[str, Any] = {"data": body} if declared else {"input_stream": io.BytesIO(body)}
    if not declared:
        options["environ_overrides"] = {"wsgi.input_terminated": True}
    response = client.post("/api/v1/events", headers=workspace.headers, **options)
    assert response.status_code == 413
    assert json_of(response)["error"]["code"] == "too_large"
    assert response.headers["Connection"] == "close"  # what still comes of it is not the next request
