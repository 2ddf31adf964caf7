"""The body of an API request, of limited size and strict JSON."""

from typing import Any, NoReturn

from flask import request

from webhooks_app.core import json_parsing
from webhooks_app.web.api.errors import refuse


def read_json(largest_bytes: int, *, is_optional: bool = False) -> tuple[Any, bytes]:
    """Return the parsed body, and its bytes; with `is_optional`, an empty object where there is none.

    Raises ApiError 413 for one over `largest_bytes`, 415 for what says that it is no JSON, 400 for what is
    none.
    """
    if request.content_length is not None and request.content_length > largest_bytes:
        _refuse_size(largest_bytes)
    raw = request.stream.read(largest_bytes + 1)  # also holds for a body that states no length
    if len(raw) > largest_bytes:
        _refuse_size(largest_bytes)
    if is_optional and not raw:
        return {}, raw
    _check_media_type()
    try:
        return json_parsing.parse(raw), raw
    except json_parsing.InvalidJson as error:
        refuse(400, "invalid_json", str(error))


def _check_media_type() -> None:
    """Raise ApiError 415; a body of which nothing is said is taken for JSON (RFC 9110, section 8.3)."""
    kind = request.mimetype
    if (
        kind
        and kind != "application/json"
        and not (kind.startswith("application/") and kind.endswith("+json"))
    ):
        message = f"Send JSON, and say so: Content-Type: application/json, not {kind[:100]}."
        refuse(415, "unsupported_media_type", message, "Content-Type", headers={"Accept": "application/json"})


def _refuse_size(largest_bytes: int) -> NoReturn:
    refuse(413, "too_large", f"The body may have {largest_bytes // 1024} KiB at most.")
