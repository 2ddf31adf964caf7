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


@pytest.mark.parametrize(
    ("content_type", "is_taken"),
    [
        (None, True),
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("Application/JSON;charset=UTF-8", True),
        ("application/cloudevents+json", True),
        ("application/x-www-form-urlencoded", False),
        ("text/plain", False),
        ("application/xml", False),
        ("text/json", False),
    ],
)
def test_what_says_that_it_is_no_json_is_415(
    client: FlaskClient, workspace: Workspace, content_type: str | None, is_taken: bool
) -> None:
    answer = client.post(
        "/api/v1/events", data=json.dumps(EVENT), headers=workspace.headers, content_type=content_type
    )
    assert answer.status_code == (202 if is_taken else 415)
    if not is_taken:
        error = json_of(answer)["error"]
        assert (error["code"], error["field"]) == ("unsupported_media_type", "Content-Type")
        assert answer.headers["Accept"] == "application/json"
