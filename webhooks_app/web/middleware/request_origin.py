"""From where a form was sent: beside its token, over HTTPS, a form must come from a page of this console.

A cookie can be set for this host from plain HTTP, or by a neighbour under the same domain, and a token that
matches it with it; an origin cannot be forged so (OWASP, CSRF Prevention, "Verifying origin").
"""

from urllib.parse import urlsplit

from flask import Flask, g, request
from flask_wtf.csrf import CSRFError

from webhooks_app.extensions import services
from webhooks_app.transport.host_names import TargetRefused, canonical_host
from webhooks_app.transport.target_ports import DEFAULT_PORTS

ELSEWHERE = "This form was sent from another site, {origin}. Open the console’s own page and try again."
UNKNOWN = "The browser did not say from where this form was sent. Allow it to send an Origin or a Referer."


class ForeignForm(CSRFError):  # type: ignore[misc]
    """A form that a page of another site sent, or one that nobody knows."""


def register(app: Flask) -> None:
    """Check it behind the token, in place of Flask-WTF's own check, which knows no sign but the Referer."""
    app.config["WTF_CSRF_SSL_STRICT"] = False
    app.before_request(_check)


def _check() -> None:
    # Set by Flask-WTF where it found a token right: not for reading, nor for the API, which has no cookies.
    if not g.get("csrf_valid") or not request.is_secure:
        return
    origin = request.headers.get("Origin") or _origin(request.referrer or "")
    if not origin:
        raise ForeignForm(UNKNOWN)
    if origin not in (_origin(request.host_url), _origin(_in_ascii(services().settings.base_url))):
        raise ForeignForm(ELSEWHERE.format(origin=origin[:200]))


def _in_ascii(base_url: str) -> str:
    """Return the address with its host as browsers send it: international names in ASCII (RFC 5891)."""
    host = urlsplit(base_url).hostname or ""
    try:
        return base_url if host.isascii() else base_url.replace(host, canonical_host(host), 1)
    except TargetRefused:
        return base_url


def _origin(url: str) -> str:
    """Return scheme, host and port of a URL as browsers write an origin (RFC 6454, 6.2), or nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if not parts.scheme or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_usual = port in (None, DEFAULT_PORTS.get(parts.scheme))
    return f"{parts.scheme}://{host}" if is_usual else f"{parts.scheme}://{host}:{port}"
