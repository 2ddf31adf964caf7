"""ETag and If-Match (RFC 9110, sections 8.8.3 and 13.1): who changes what, upon what they saw."""

import hashlib
from datetime import datetime

from flask import Response, request
from werkzeug.http import parse_etags

from webhooks_app.db.models import Endpoint
from webhooks_app.db.models.base import microseconds
from webhooks_app.endpoints.versions import ChangedMeanwhile


def endpoint_etag(endpoint: Endpoint, *, is_masked: bool = False) -> str:
    """Return what names the endpoint's present configuration; one with a masked URL is another."""
    return f"{microseconds(endpoint.updated_at):x}{'m' if is_masked else ''}"


def seen_at(endpoint: Endpoint | None) -> datetime | None:
    """Return the `updated_at` that an action is to find, None without an `If-Match`.

    Raises ChangedMeanwhile where the endpoint, as it was read, is no longer as the request has it.
    """
    if "If-Match" not in request.headers:
        return None
    if endpoint is None or endpoint_etag(endpoint) not in parse_etags(request.headers["If-Match"]):
        raise ChangedMeanwhile
    return endpoint.updated_at


def is_new_only() -> bool:
    """Tell whether the request asks for nothing where there is something (RFC 9110, section 13.1.2)."""
    return request.headers.get("If-None-Match", "").strip() == "*"


def etag_of(content: bytes) -> str:
    """Return an ETag for these bytes."""
    return hashlib.sha256(content).hexdigest()[:32]


def with_etag(response: Response, etag: str) -> Response:
    """Return the response with its ETag; 304 without a body where the client has it already."""
    response.set_etag(etag)
    response.headers["Cache-Control"] = "private, no-cache"
    if request.method in ("GET", "HEAD"):
        response.make_conditional(request)
    return response
