"""The reference in docs/api.md is that of the API as it is."""

from pathlib import Path

from webhooks_app.web.api import reference
from webhooks_app.web.api.all_operations import OPERATIONS

PAGE = Path(__file__).parents[3] / "docs" / "api.md"


def test_the_reference_is_up_to_date() -> None:
    assert PAGE.read_text() == reference.write(), "run: make api-reference"


def test_every_operation_is_in_it() -> None:
    text = PAGE.read_text()
    for operation in OPERATIONS:
        assert f"`{operation.method} /api/v1{operation.path}`" in text
