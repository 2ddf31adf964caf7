"""The headers of every response: what a browser may load, where it may go, and what it may keep."""

from flask import Flask, Response, request

from webhooks_app.web.api import errors as api_errors

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A program shows nothing; should a browser be brought to an answer of the API, it shows no more than text.
API_CONTENT_SECURITY_POLICY = "default-src 'none'; frame-ancestors 'none'"
# Static files are versioned by their content, so a browser may keep them.
STATIC_SECONDS = 365 * 86_400
# Answered before the body was read: what still comes of it must not be taken for the next request.
UNREAD_BODY = frozenset({413, 415})


def register(app: Flask) -> None:
    app.after_request(_add_headers)


def _add_headers(response: Response) -> Response:
    headers = response.headers
    headers["X-Content-Type-Options"] = "nosniff"
    if response.status_code in UNREAD_BODY:
        headers["Connection"] = "close"
    if api_errors.is_api():
        headers["Content-Security-Policy"] = API_CONTENT_SECURITY_POLICY
        headers.setdefault("Cache-Control", "no-store")
        return response
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.endpoint == "static":
        headers["Cache-Control"] = f"public, max-age={STATIC_SECONDS}, immutable"
    elif "Cache-Control" not in headers or not response.cache_control.public:
        headers.setdefault("Cache-Control", "no-store")
        response.vary.update(["HX-Request", "HX-Request-Type", "Cookie"])
    return response
