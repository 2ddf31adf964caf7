"""What every page shares: response headers, error pages, navigation, and the words for times and sizes."""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask, Response, abort, current_app, g, render_template, request, url_for
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from webhooks_app.extensions import services
from webhooks_app.web.access import fill_in_workspace_id, own_workspaces
from webhooks_app.web.api import producer
from webhooks_app.web.template_filters import duration, exact, iso, relative

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# Versioned by their content, so a browser may keep them.
ASSET_SECONDS = 365 * 86_400


class Link(NamedTuple):
    """`key` opens it, pressed behind a g."""

    view: str
    icon: str
    label: str
    key: str


class LinkGroup(NamedTuple):
    title: str
    links: tuple[Link, ...]


NAVIGATION = (
    LinkGroup(
        "Webhooks",
        (
            Link("endpoints.index", "endpoint", "Endpoints", "e"),
            Link("deliveries.index", "list", "Deliveries", "d"),
            Link("recoveries.index", "replay", "Recoveries", "r"),
            Link("catalog.index", "book", "Event catalog", "c"),
        ),
    ),
    LinkGroup(
        "Workspace",
        (
            Link("tokens.index", "key", "API tokens", "t"),
            Link("members.index", "people", "Members", "m"),
            Link("audit.index", "log", "Audit log", "a"),
            Link("settings.show", "settings", "Settings", "s"),
        ),
    ),
)

ERRORS = {
    400: ("That request cannot be understood", "Go back, reload the page and try again."),
    403: ("You may not do that", "Only admins of this workspace can. Ask one of them."),
    404: ("There is nothing here", "It may have been deleted, or belong to a workspace you are not in."),
    405: ("That cannot be done here", "Go back and use the page's own buttons."),
    413: ("That is too large", "Send less at a time."),
    429: ("Too many tries", "Wait a minute, then try again."),
    500: ("Something broke on our side", "It was logged. Nothing you had saved is lost; try again."),
    503: ("The database does not answer", "Nothing was changed. Try again in a moment."),
}


def register(app: Flask) -> None:
    settings = services(app).settings
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count)  # type: ignore[method-assign]
    app.before_request(_refuse_nul)
    app.after_request(_add_headers)
    app.url_defaults(fill_in_workspace_id)
    app.context_processor(_shared_names)
    app.jinja_env.filters |= {"iso": iso, "exact": exact, "relative": relative, "duration": duration}
    app.jinja_env.globals["asset"] = asset
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_error_handler(HTTPException, _show_error)
    app.register_error_handler(OperationalError, _show_unavailable)
    app.register_error_handler(PoolTimeout, _show_unavailable)
    app.register_error_handler(DataError, lambda _: _show_error(BadRequest()))
    app.register_error_handler(500, _show_error)


def _refuse_nul() -> None:
    """Nothing has a NUL in its address, and PostgreSQL takes none to look for."""
    if "\0" in request.path:
        abort(404)


def _add_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.endpoint == "static":
        headers["Cache-Control"] = f"public, max-age={ASSET_SECONDS}, immutable"
    else:
        headers.setdefault("Cache-Control", "no-store")
        response.vary.update(["HX-Request", "HX-Request-Type", "Cookie"])
    return response


def _shared_names() -> dict[str, Any]:
    return {
        "navigation": NAVIGATION,
        "workspace": g.get("workspace"),
        "member": g.get("member"),
        "own_workspaces": own_workspaces,
    }


def is_fragment() -> bool:
    """Whether htmx asks for a part of the page."""
    return request.headers.get("HX-Request-Type") == "partial"


def _show_error(error: HTTPException) -> tuple[str | Response, int]:
    if request.path.startswith("/api/"):
        return producer.answer_http_error(error)
    code = error.code or 500
    title, text = ERRORS.get(code, (error.name, error.description or ""))
    if isinstance(error, CSRFError):
        text = "The form was open for too long or in another session. Go back, reload the page and try again."
    elif code in (403, 404) and error.description and error.description != type(error).description:
        text = error.description  # our own words
    return _error_page(code, title, text), code


def _show_unavailable(_error: Exception) -> tuple[str, int, dict[str, str]]:
    title, text = ERRORS[503]
    return _error_page(503, title, text), 503, {"Retry-After": "1"}


def _error_page(code: int, title: str, text: str) -> str:
    """In its frame where the workspace is known; without, where drawing that frame could fail again."""
    is_framed = "member" in g and code < 500
    return render_template("error.html", code=code, title=title, text=text, is_framed=is_framed)


def asset(name: str) -> str:
    """The URL of a static file, with a version that changes with its content."""
    assert current_app.static_folder is not None
    return url_for("static", filename=name, v=_version(Path(current_app.static_folder) / name))


@lru_cache
def _version(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:12]
