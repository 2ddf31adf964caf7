"""From what the API is given to an endpoint's values, by the rules of the console's form."""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from msgspec import UNSET, UnsetType

from webhooks_app.accounts import input_rules
from webhooks_app.accounts.input_rules import LONGEST_NAME
from webhooks_app.core.encryption import DecryptionError
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import custom_headers
from webhooks_app.endpoints.custom_headers import GivenHeader
from webhooks_app.endpoints.endpoint_values import DesiredState, EndpointValues
from webhooks_app.extensions import services
from webhooks_app.transport import target_urls
from webhooks_app.transport.host_names import TargetRefused
from webhooks_app.web.api.errors import refuse, unknown_type_sentence
from webhooks_app.web.api.input_models import (
    EndpointChanges,
    EndpointSettings,
    HeaderInput,
    HeldChoice,
    NamedEndpointInput,
)


def new_values(
    body: EndpointSettings, name: str | None, *, timeout_ms: int, stored: Endpoint | None = None
) -> EndpointValues:
    """Return the values of a whole endpoint; `stored` is the one that gets them. Raises ApiError 422.

    `timeout_ms` is what it has without a time-out of its own.
    """
    url = _url(body.url)
    return EndpointValues(
        name=check_name(name) if name is not None else _host(url),
        url=url,
        all_events=body.all_events,
        event_types=_event_types(body.event_types, stored, all_events=body.all_events),
        timeout_ms=body.timeout_seconds * 1000 if body.timeout_seconds else timeout_ms,
        rate_per_second=body.rate_per_second,
        headers=_headers(body.headers, url, stored),
        managed_by=_managed_by(body.managed_by),
    )


def desired_state(body: NamedEndpointInput) -> DesiredState:
    """Return whether the endpoint is to be disabled, and what becomes of held deliveries otherwise."""
    return DesiredState(
        is_disabled=None if body.disabled is UNSET else body.disabled,
        send_held=None if body.held is UNSET else body.held is HeldChoice.SEND,
    )


def changed_values(body: EndpointChanges, endpoint: Endpoint) -> EndpointValues:
    """Return the endpoint's values with the changes made to them. Raises ApiError 422."""
    url = endpoint.url if body.url is UNSET else _url(body.url)
    all_events, types = _chosen_events(body, endpoint)
    return EndpointValues(
        name=endpoint.name if body.name is UNSET else check_name(body.name),
        url=url,
        all_events=all_events,
        event_types=types,
        timeout_ms=endpoint.timeout_ms if body.timeout_seconds is UNSET else body.timeout_seconds * 1000,
        rate_per_second=endpoint.rate_per_second if body.rate_per_second is UNSET else body.rate_per_second,
        headers=_headers(_kept(endpoint) if body.headers is UNSET else body.headers, url, endpoint),
        managed_by=_managed_by(body.managed_by),
    )


def check_name(name: str, field: str = "name") -> str:
    """Return the name of an endpoint. Raises ApiError 422."""
    return _checked(input_rules.check_name, name, field)


def _managed_by(text: str | UnsetType | None) -> str | UnsetType | None:
    return check_name(text, "managed_by") if isinstance(text, str) else text


def check_event_type(name: str, field: str) -> None:
    """Raise ApiError 422 unless the catalog has the type."""
    names = services().catalog.names
    if name not in names:
        refuse(422, "unknown_event_type", unknown_type_sentence(name, names), field)


def check_subscription(name: str, stored: Endpoint | None, field: str) -> None:
    """Raise ApiError 422 unless the catalog has the type, or the endpoint had it when it still did."""
    _check_event_types([name], stored, lambda _: field)


def _check_event_types(names: Sequence[str], stored: Endpoint | None, field: Callable[[int], str]) -> None:
    had = frozenset(stored.event_types if stored else ())
    for position, name in enumerate(names):
        if name not in had:
            check_event_type(name, field(position))


def _chosen_events(body: EndpointChanges, endpoint: Endpoint) -> tuple[bool, Sequence[str]]:
    """Return whether it gets all events, and the types that it gets otherwise. Raises ApiError 422."""
    if body.event_types is UNSET and body.all_events is UNSET:
        return endpoint.all_events, endpoint.event_types
    if body.event_types is UNSET:
        types: Sequence[str] = [] if body.all_events else endpoint.event_types
        all_events = body.all_events is True
    else:
        types, all_events = body.event_types, body.all_events is True
    return all_events, _event_types(types, endpoint, all_events=all_events)


def _event_types(names: Sequence[str], stored: Endpoint | None, *, all_events: bool) -> Sequence[str]:
    if all_events and names:
        refuse(422, "invalid", "Leave them out: with all_events it gets every type.", "event_types")
    if not all_events and not names:
        refuse(422, "invalid", "Name at least one event type, or ask for all_events.", "event_types")
    _check_event_types(names, stored, "event_types[{}]".format)
    return names


def _url(url: str) -> str:
    policy = services().settings.targets
    try:
        return target_urls.normalise_url(url.strip(), policy)
    except TargetRefused as refused:
        refuse(422, "invalid", str(refused), "url")


def _host(url: str) -> str:
    return urlsplit(url).netloc[:LONGEST_NAME]


def _checked(rule: Callable[[str], str], text: str, field: str) -> str:
    try:
        return rule(text)
    except ValueError as error:
        refuse(422, "invalid", str(error), field)


def _kept(endpoint: Endpoint) -> list[HeaderInput]:
    """Return all stored headers as they are sent to stay."""
    return [HeaderInput(name) for name in stored_headers(endpoint) or ()]


def _headers(headers: Sequence[HeaderInput], url: str, stored: Endpoint | None) -> list[GivenHeader]:
    values = {name.lower(): value for name, value in (stored_headers(stored) or {}).items()} if stored else {}
    is_same_server = stored is not None and custom_headers.is_same_server(stored.url, url)
    for position, header in enumerate(headers):
        if header.value is None and not (is_same_server and header.name.lower() in values):
            why = "The URL leads to another server now. " if header.name.lower() in values else ""
            refuse(422, "invalid", f"{why}Give the value of this header.", f"headers[{position}].value")
        value = values[header.name.lower()] if header.value is None else header.value
        if problem := custom_headers.header_problem(header.name, value):
            refuse(422, "invalid", problem, f"headers[{position}]")
    complete = [(header.name, header.value or values[header.name.lower()]) for header in headers]
    if problem := custom_headers.header_list_problem(complete):
        refuse(422, "invalid", problem, "headers")
    return [(header.name, header.value) for header in headers]


def stored_headers(endpoint: Endpoint) -> Mapping[str, str] | None:
    """Return the endpoint's own headers, or None where they cannot be decrypted."""
    try:
        return dict(custom_headers.decrypt(services().cipher, endpoint))
    except DecryptionError:
        return None
