"""What people see when something cannot be done; under `/api/`, the API's own shape of an error."""

import logging

from flask import Flask, g, render_template, request, session
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError
from werkzeug.exceptions import BadRequest, HTTPException

from webhooks_app.db import transient_errors
from webhooks_app.extensions import services
from webhooks_app.monitoring import write_problems
from webhooks_app.web.api import errors as api_errors
from webhooks_app.web.middleware.request_checks import HoldsNul, NotUtf8
from webhooks_app.web.middleware.request_origin import ForeignForm

log = logging.getLogger(__name__)

# By status: title and text.
ERRORS = {
    400: ("That request cannot be understood", "Go back, reload the page and try again."),
    403: ("You may not do that", "Only admins of this workspace can. Ask one of them."),
    404: ("There is nothing here", "It may have been deleted, or belong to a workspace you are not in."),
    405: ("That cannot be done here", "Go back and use the page's own buttons."),
    413: ("That is too large", "Send less at a time."),
    415: ("That cannot be read as it was sent", "Send it without a Content-Encoding."),
    429: ("Too many tries", "Wait a minute, then try again."),
    500: ("Something broke on our side", "It was logged. Nothing you had saved is lost; try again."),
    503: ("The database does not answer", "Nothing was changed. Try again in a moment."),
}


def register(app: Flask) -> None:
    app.register_error_handler(HTTPException, show_error)
    for kind in transient_errors.DATABASE_ERRORS:
        app.register_error_handler(kind, _show_unavailable)
    app.register_error_handler(DataError, _show_bad_data)
    app.register_error_handler(500, show_error)


def show_error(error: HTTPException) -> ResponseReturnValue:
    if api_errors.is_api():
        return api_errors.answer_http_error(error)
    code = error.code or 500
    title, text = ERRORS.get(code, (error.name, error.description or ""))
    if isinstance(error, (ForeignForm, HoldsNul, NotUtf8)):
        text = error.description
    elif isinstance(error, CSRFError) and not session:
        text = (
            "The browser sent no session along. Allow cookies for this site, reload the page and try again."
        )
    elif isinstance(error, CSRFError):
        text = "The form was open for too long or in another session. Go back, reload the page and try again."
    elif code in (403, 404) and error.description and error.description != type(error).description:
        text = error.description  # our own words
    return render_error(code, title, text), code, api_errors.own_headers(error)


def render_error(code: int, title: str, text: str) -> str:
    """Return the page: within the console's frame if the workspace is known and drawing it is safe.

    From 500 on, drawing the frame could fail again, as it reads the database.
    """
    is_framed = "member" in g and code < 500
    return render_template("error.html", code=code, title=title, text=text, is_framed=is_framed)


def _show_unavailable(error: Exception) -> ResponseReturnValue:
    """Answer 503 where the database may serve again in a moment; another error of it is ours, and raised."""
    transient_errors.raise_unless_transient(error)
    transient_errors.log_unavailable(log, error, view=request.endpoint)
    services().counters.count("unavailable", transient_errors.cause_of(error) or "unknown")
    if api_errors.is_api():
        return api_errors.answer_unavailable()
    title, text = ERRORS[503]
    if why := write_problems.refusal(error):
        title, text = (
            "The database takes no writes",
            f"{why} Nothing was changed; pages can be read meanwhile.",
        )
    return render_error(503, title, text), 503, {"Retry-After": "1"}


def _show_bad_data(_error: DataError) -> ResponseReturnValue:
    """Answer 400: PostgreSQL could not take a value of the request."""
    return show_error(BadRequest())
