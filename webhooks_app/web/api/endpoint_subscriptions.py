"""Single subscriptions of an endpoint over the API."""

from typing import NoReturn

from flask import Response

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.endpoints import subscriptions
from webhooks_app.endpoints.subscriptions import LastSubscription, TakesAllEvents
from webhooks_app.extensions import services
from webhooks_app.web.api import answer_models, endpoint_input
from webhooks_app.web.api.authentication import actor
from webhooks_app.web.api.errors import refuse
from webhooks_app.web.api.loading import load_endpoint, refuse_unknown
from webhooks_app.web.api.operations import Operation, respond, respond_empty


def list_subscriptions(endpoint_id: str) -> Response:
    endpoint = load_endpoint(endpoint_id)
    names = services().catalog.names
    data = [answer_models.Subscription(name, name in names) for name in endpoint.event_types]
    return respond(answer_models.Subscriptions(data, None, endpoint.all_events))


def put_subscription(endpoint_id: str, event_type: str) -> Response:
    endpoint = load_endpoint(endpoint_id)
    endpoint_input.check_subscription(event_type, endpoint, "event_type")
    try:
        subscriptions.add(services().write, endpoint, event_type, actor=actor())
    except TakesAllEvents:
        _refuse_all_events()
    return respond_empty()


def delete_subscription(endpoint_id: str, event_type: str) -> Response:
    endpoint = load_endpoint(endpoint_id)
    try:
        if not subscriptions.remove(services().write, endpoint, event_type, actor=actor()):
            refuse_unknown("subscription")
    except TakesAllEvents:
        _refuse_all_events()
    except LastSubscription:
        message = "This is its last subscription. Disable or delete the endpoint instead."
        refuse(409, "last_subscription", message)
    return respond_empty()


def _refuse_all_events() -> NoReturn:
    message = "The endpoint gets all events. Change its event_types to choose among them."
    refuse(409, "all_events", message)


_TAG = "Subscriptions"
_PATH = "/endpoints/{endpoint_id}/subscriptions"

OPERATIONS = (
    Operation(
        id="listSubscriptions",
        method="GET",
        path=_PATH,
        view=list_subscriptions,
        tag=_TAG,
        summary="List the subscriptions of an endpoint",
        scope=TokenScope.ENDPOINTS_READ,
        answers={200: answer_models.Subscriptions},
        errors=(404,),
    ),
    Operation(
        id="putSubscription",
        method="PUT",
        path=_PATH + "/{event_type}",
        view=put_subscription,
        tag=_TAG,
        summary="Subscribe an endpoint to an event type",
        description="Safe to repeat.",
        scope=TokenScope.ENDPOINTS_WRITE,
        answers={204: None},
        errors=(404, 409, 422),
    ),
    Operation(
        id="deleteSubscription",
        method="DELETE",
        path=_PATH + "/{event_type}",
        view=delete_subscription,
        tag=_TAG,
        summary="Unsubscribe an endpoint from an event type",
        scope=TokenScope.ENDPOINTS_WRITE,
        answers={204: None},
        errors=(404, 409),
    ),
)
