"""Endpoints as the API answers them."""

from typing import Any

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import url_masking
from webhooks_app.core.clock import format_optional, format_rfc3339
from webhooks_app.db.models import Endpoint
from webhooks_app.web.api import answer_models, preconditions
from webhooks_app.web.api.answer_models import EndpointHeader
from webhooks_app.web.api.authentication import current_token
from webhooks_app.web.api.endpoint_input import stored_headers


def shows_urls() -> bool:
    """Return whether the token may read a URL's query, often a credential: only who may change it."""
    return TokenScope.ENDPOINTS_WRITE in current_token().scopes


def etag(endpoint: Endpoint) -> str:
    return preconditions.endpoint_etag(endpoint, is_masked=not shows_urls())


def fields(endpoint: Endpoint) -> dict[str, Any]:
    """Return the fields of `answer_models.Endpoint`."""
    headers = stored_headers(endpoint)
    return {
        "id": endpoint.id,
        "name": endpoint.name,
        "url": endpoint.url if shows_urls() else url_masking.mask_url(endpoint.url),
        "state": endpoint.state,
        "disabled_at": format_optional(endpoint.disabled_at),
        "disabled_reason": endpoint.disabled_reason,
        "all_events": endpoint.all_events,
        "event_types": endpoint.event_types,
        "timeout_seconds": -(-endpoint.timeout_ms // 1000),
        "rate_per_second": endpoint.rate_per_second,
        "headers": None if headers is None else [EndpointHeader(name) for name in headers],
        "managed_by": endpoint.managed_by,
        "created_at": format_rfc3339(endpoint.created_at),
        "updated_at": format_rfc3339(endpoint.updated_at),
    }


def answer(endpoint: Endpoint) -> answer_models.Endpoint:
    return answer_models.Endpoint(**fields(endpoint))
