"""For how long a request may ask the database in all, so that its answer comes before its client gives up."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

from webhooks_app.db import deadlines

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Under this name a server says when the request was there, as `time.monotonic` has it: what it has waited for
# a thread since then counts.
RECEIVED_AT = "webhooks.received_at"
# Whoever has waited for long is served all the same, if that is soon done.
_LEAST_SECONDS = 0.5


class RequestDeadline:
    """Sets the deadline around the application; what streams its body, such as an export, goes on without."""

    def __init__(self, app: "WSGIApplication", seconds: float) -> None:
        self._app, self._seconds = app, seconds

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        now = time.monotonic()
        waited_seconds = now - environ.get(RECEIVED_AT, now)
        with deadlines.within(max(_LEAST_SECONDS, self._seconds - waited_seconds)):
            return self._app(environ, start_response)


def register(app: Flask, seconds: float | None) -> None:
    """Give each request so many seconds; None for as long as it takes."""
    if seconds is not None:
        app.wsgi_app = RequestDeadline(app.wsgi_app, seconds)  # type: ignore[method-assign]
