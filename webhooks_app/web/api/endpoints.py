"""Endpoints over the API: listed, added, read, changed, deleted; by their ids or by their names."""

from flask import Response, g, url_for
from sqlalchemy import or_, select
from sqlalchemy.orm import selectinload

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.db.models import Endpoint, Subscription
from webhooks_app.endpoints import actions, named_endpoints, signing_secrets
from webhooks_app.extensions import db, expire_read_rows, services
from webhooks_app.web.api import answer_models, endpoint_answers, endpoint_input, paging, preconditions
from webhooks_app.web.api.authentication import actor
from webhooks_app.web.api.input_models import EndpointChanges, EndpointInput, NamedEndpointInput
from webhooks_app.web.api.loading import load_endpoint, load_workspace, refuse_unknown
from webhooks_app.web.api.operations import Operation, respond, respond_empty
from webhooks_app.web.api.query_models import EndpointQuery


def list_endpoints(query: EndpointQuery) -> Response:
    chosen = (
        select(Endpoint)
        .where(Endpoint.is_kept_in(g.workspace_id))
        .options(selectinload(Endpoint.subscriptions))
    )
    if query.name:
        chosen = chosen.where(Endpoint.name == query.name.strip())
    if query.state:
        chosen = chosen.where(Endpoint.state == query.state)
    if query.event_type:
        subscribed = select(Subscription).where(
            Subscription.endpoint_id == Endpoint.id, Subscription.event_type == query.event_type
        )
        chosen = chosen.where(or_(Endpoint.all_events, subscribed.exists()))
    rows, cursor = paging.read_newest(chosen, Endpoint.id, query, "ep")
    return respond(answer_models.Endpoints([endpoint_answers.answer(each) for each in rows], cursor))


def create_endpoint(body: EndpointInput) -> Response:
    values = endpoint_input.new_values(body, body.name, timeout_ms=load_workspace().default_timeout_ms)
    endpoint_id = actions.create(services().write, services().cipher, g.workspace_id, values, actor=actor())
    return _created(endpoint_id)


def read_endpoint(endpoint_id: str) -> Response:
    return respond_with(load_endpoint(endpoint_id, with_listeners=True))


def change_endpoint(endpoint_id: str, body: EndpointChanges) -> Response:
    endpoint = load_endpoint(endpoint_id)
    # What is left out stays as it was read: so nobody's change in between is undone by it.
    seen_at = preconditions.seen_at(endpoint) or endpoint.updated_at
    values = endpoint_input.changed_values(body, endpoint)
    actions.change(services().write, services().cipher, endpoint, values, seen_at=seen_at, actor=actor())
    return respond_with(reload(endpoint))


def delete_endpoint(endpoint_id: str) -> Response:
    endpoint = load_endpoint(endpoint_id)
    actions.remove(services().write, endpoint, seen_at=preconditions.seen_at(endpoint), actor=actor())
    return respond_empty()


def read_named_endpoint(name: str) -> Response:
    return respond_with(_find(name) or refuse_unknown("endpoint"))


def put_named_endpoint(name: str, body: NamedEndpointInput) -> Response:
    name = endpoint_input.check_name(name)
    endpoint = _find(name)
    timeout_ms = load_workspace().default_timeout_ms
    values = endpoint_input.new_values(body, name, timeout_ms=timeout_ms, stored=endpoint)
    result = named_endpoints.put(
        services().write,
        services().cipher,
        g.workspace_id,
        values,
        desired=endpoint_input.desired_state(body),
        seen_at=preconditions.seen_at(endpoint),
        is_new_only=preconditions.is_new_only(),
        actor=actor(),
    )
    if result.sent:
        services().wake_ups.wake_worker()
    if result.is_new:
        return _created(result.endpoint_id)
    return respond_with(reload(load_endpoint(result.endpoint_id)))


def respond_with(endpoint: Endpoint) -> Response:
    """Return the endpoint with its ETag."""
    response = respond(endpoint_answers.answer(endpoint))
    return preconditions.with_etag(response, endpoint_answers.etag(endpoint))


def reload(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as it is after an action."""
    expire_read_rows()
    return load_endpoint(endpoint.id)


def _created(endpoint_id: str) -> Response:
    """Return 201 with the signing secret, which is recorded as revealed."""
    endpoint = load_endpoint(endpoint_id)
    [secret] = signing_secrets.reveal(services().write, services().cipher, endpoint, actor=actor())
    body = answer_models.CreatedEndpoint(**endpoint_answers.fields(endpoint), secret=secret)
    response = respond(body, 201, {"Location": url_for("api.getEndpoint", endpoint_id=endpoint_id)})
    response = preconditions.with_etag(response, endpoint_answers.etag(endpoint))
    response.headers["Cache-Control"] = "no-store"
    return response


def _find(name: str) -> Endpoint | None:
    return named_endpoints.find(db.session(), g.workspace_id, name.strip())


_TAG = "Endpoints"
_CHANGE_ERRORS = (404, 412, 422)

OPERATIONS = (
    Operation(
        id="listEndpoints",
        method="GET",
        path="/endpoints",
        view=list_endpoints,
        tag=_TAG,
        summary="List endpoints",
        scope=TokenScope.ENDPOINTS_READ,
        query=EndpointQuery,
        answers={200: answer_models.Endpoints},
    ),
    Operation(
        id="createEndpoint",
        method="POST",
        path="/endpoints",
        view=create_endpoint,
        tag=_TAG,
        summary="Add an endpoint",
        description="The answer has its signing secret. `PUT /endpoints/by-name/{name}` is safe to repeat.",
        scope=TokenScope.ENDPOINTS_WRITE,
        body=EndpointInput,
        answers={201: answer_models.CreatedEndpoint},
        answer_headers=("ETag", "Location"),
    ),
    Operation(
        id="getEndpoint",
        method="GET",
        path="/endpoints/{endpoint_id}",
        view=read_endpoint,
        tag=_TAG,
        summary="Read an endpoint",
        scope=TokenScope.ENDPOINTS_READ,
        answers={200: answer_models.Endpoint, 304: None},
        headers=("If-None-Match",),
        answer_headers=("ETag",),
        errors=(404,),
    ),
    Operation(
        id="changeEndpoint",
        method="PATCH",
        path="/endpoints/{endpoint_id}",
        view=change_endpoint,
        tag=_TAG,
        summary="Change an endpoint",
        description="What is left out stays. Requests in flight finish as they are.",
        scope=TokenScope.ENDPOINTS_WRITE,
        body=EndpointChanges,
        answers={200: answer_models.Endpoint},
        headers=("If-Match",),
        answer_headers=("ETag",),
        errors=_CHANGE_ERRORS,
    ),
    Operation(
        id="deleteEndpoint",
        method="DELETE",
        path="/endpoints/{endpoint_id}",
        view=delete_endpoint,
        tag=_TAG,
        summary="Delete an endpoint",
        description="What is pending or held for it is canceled; its log stays until it expires.",
        scope=TokenScope.ENDPOINTS_WRITE,
        answers={204: None},
        headers=("If-Match",),
        errors=(404, 412),
    ),
    Operation(
        id="getNamedEndpoint",
        method="GET",
        path="/endpoints/by-name/{name}",
        view=read_named_endpoint,
        tag=_TAG,
        summary="Read an endpoint by its name",
        scope=TokenScope.ENDPOINTS_READ,
        answers={200: answer_models.Endpoint, 304: None},
        headers=("If-None-Match",),
        answer_headers=("ETag",),
        errors=(404, 409),
    ),
    Operation(
        id="putNamedEndpoint",
        method="PUT",
        path="/endpoints/by-name/{name}",
        view=put_named_endpoint,
        tag=_TAG,
        summary="Have an endpoint of this name",
        description=(
            "Adds the endpoint, or changes the one that has the name. Safe to repeat: where nothing differs, "
            "nothing is changed and nothing is recorded. With `If-None-Match: *` it only adds."
        ),
        scope=TokenScope.ENDPOINTS_WRITE,
        body=NamedEndpointInput,
        answers={200: answer_models.Endpoint, 201: answer_models.CreatedEndpoint},
        headers=("If-Match", "If-None-Match"),
        answer_headers=("ETag",),
        errors=(409, 412, 422),
    ),
)
