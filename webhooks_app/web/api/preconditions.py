"""ETag and If-Match (RFC 9110, sections 8.8.3 and 13.1): who changes what, upon what they saw."""

import hashlib
from datetime import datetime

from flask import Response, request
from werkzeug.datastructures import ETags
from werkzeug.http import parse_etags

from webhooks_app.db.models import Endpoint
from webhooks_app.db.models.base import microseconds
from webhooks_app.endpoints.optimistic_lock import ChangedMeanwhile
from webhooks_app.web.middleware.compression import GZIP_SUFFIX


def endpoint_etag(endpoint: Endpoint, *, is_masked: bool = False) -> str:
    """Return what names the endpoint's present configuration; one with a masked URL is another."""
    return f"{microseconds(endpoint.updated_at):x}{'m' if is_masked else ''}"


def seen_at(endpoint: Endpoint | None) -> datetime | None:
    """Return the `updated_at` that an action is to find, None without an `If-Match`.

    Raises ChangedMeanwhile where the endpoint, as it was read, is no longer as the request has it.
    """
    if "If-Match" not in request.headers:
        return None
    named = parse_etags(request.headers["If-Match"])
    if endpoint is None or not _names(named, endpoint_etag(endpoint)):
        raise ChangedMeanwhile
    return endpoint.updated_at


def _names(named: ETags, etag: str) -> bool:
    """Return whether this is among the ETags; compressed or not, an answer names the same configuration."""
    return etag in named or etag + GZIP_SUFFIX in named


def is_new_only() -> bool:
    """Return whether the request asks for nothing where there is something (RFC 9110, section 13.1.2)."""
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
