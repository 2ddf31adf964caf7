"""What every view of the console returns, and whether a whole page or a part of one was asked for."""

import json

from flask import make_response, request
from werkzeug.wrappers import Response

# As Flask takes it: a response, its body, its body and status, or these and headers.
PageResponse = Response | str | tuple[str, int] | tuple[str, int, dict[str, str]]


def is_fragment() -> bool:
    """Return whether htmx asks for a part of the page (htmx 4: `HX-Request-Type`)."""
    return request.headers.get("HX-Request-Type") == "partial"


def with_toast(fragment: str, message: str, variant: str) -> Response:
    """Return the fragment with a message, which console.js shows as it does a flashed one."""
    response = make_response(fragment)
    response.headers["HX-Trigger"] = json.dumps({"toast": {"text": message, "variant": variant}})
    return response


class CutShort(Exception):
    """Ends a streamed body early, so that the client sees that it is not whole; why has been logged."""
