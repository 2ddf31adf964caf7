"""What every view of the console returns, and whether a whole page or a part of one was asked for."""

import json

from flask import make_response, request
from werkzeug.wrappers import Response

# What a view asks of the server, which shows it to nobody: see `ask_to_wait`.
WAIT_HEADER = "X-Wait-For-Listener"
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


def ask_to_wait(
    response: Response,
    listener_id: str,
    seconds: int,
    *,
    workspace_id: str,
    token_id: str,
    session_id: str,
) -> None:
    """Have the server wait until something is due at the listener, and then ask the view again.

    Also where the listener is in the hands of another program than this session's by then. After so many
    seconds it sends this response. No thread is held meanwhile. Of the places to wait, the workspace and the
    token each have a share.
    """
    response.headers[WAIT_HEADER] = f"{listener_id} {seconds} {workspace_id} {token_id} {session_id}"


class CutShort(Exception):
    """Ends a streamed body early, so that the client sees that it is not whole; why has been logged."""
