"""The id of a request, which its answer has as `X-Request-ID` and each line that is logged for it."""

import os
import re

from flask import Flask, Response, g, request

from webhooks_app.core.logging_setup import REQUEST_ID

HEADER = "X-Request-ID"
# What the web's server adds to the WSGI environment; no client can set a name without HTTP_ before it.
ENVIRON_KEY = "webhooks_app.request_id"
_CLAIMED = re.compile(r"[A-Za-z0-9._=+/:-]{1,128}")


def choose(claimed: str | None, *, is_behind_proxies: bool) -> str:
    """Return the id that a proxy gave the request, where one is trusted, or else a new one.

    As nginx makes them: 32 hexadecimal digits.
    """
    if is_behind_proxies and claimed is not None and _CLAIMED.fullmatch(claimed):
        return claimed
    return os.urandom(16).hex()


def register(app: Flask, *, trusted_proxies: int) -> None:
    """Have each request logged under its id, and answered with it."""

    def begin() -> None:
        request_id = request.environ.get(ENVIRON_KEY) or choose(
            request.headers.get(HEADER), is_behind_proxies=trusted_proxies > 0
        )
        g.request_id = request_id
        REQUEST_ID.set(request_id)

    app.before_request(begin)
    app.after_request(_add_header)
    app.teardown_request(_forget)


def _add_header(response: Response) -> Response:
    if "request_id" in g:
        response.headers[HEADER] = g.request_id
    return response


def _forget(_error: BaseException | None) -> None:
    REQUEST_ID.set(None)
