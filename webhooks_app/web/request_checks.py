"""What happens to every request before a view sees it."""

from flask import Flask, abort, request
from werkzeug.middleware.proxy_fix import ProxyFix


def register(app: Flask, *, trusted_proxies: int) -> None:
    """Believe `X-Forwarded-For` and `X-Forwarded-Proto` of so many proxies in front, and refuse a NUL."""
    if trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=trusted_proxies, x_proto=trusted_proxies
        )
    app.before_request(_refuse_nul)


def _refuse_nul() -> None:
    """Answer 404: nothing has a NUL in its address, and PostgreSQL refuses one in a query."""
    if "\0" in request.path:
        abort(404)
