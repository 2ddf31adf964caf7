"""What putting endpoints by their names would do, without doing it: for `avra apply` and its like."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask import Response, g
from sqlalchemy import or_, select
from sqlalchemy.orm import selectinload

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import named_endpoints, waiting_counts
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.endpoints.named_endpoints import AmbiguousName, SettingDifference
from webhooks_app.extensions import db, services
from webhooks_app.web.api import endpoint_answers, endpoint_input, errors
from webhooks_app.web.api.answer_models import EndpointHeader, ErrorDetails
from webhooks_app.web.api.errors import ApiError, refuse
from webhooks_app.web.api.loading import load_workspace
from webhooks_app.web.api.operations import Operation, respond
from webhooks_app.web.api.plan_models import (
    EndpointPlan,
    PlanInput,
    PlannedAction,
    PlannedEndpoint,
    PlannedInput,
    PlannedSettings,
)

# A hundred endpoints, each with all the event types and headers that it may have.
LARGEST_PLAN_BYTES = 4 * 1024 * 1024


def plan_endpoints(body: PlanInput) -> Response:
    stored = _stored(body.endpoints)
    timeout_ms = load_workspace().default_timeout_ms
    planned = [_plan(each, stored[each.id or each.name.strip()], timeout_ms) for each in body.endpoints]
    return respond(EndpointPlan(planned))


def _stored(planned: Iterable[PlannedInput]) -> Mapping[str, Sequence[Endpoint]]:
    """Return the workspace's endpoints of each of the names and ids, in one look."""
    names, ids = {each.name.strip() for each in planned}, {each.id for each in planned if each.id}
    is_named = or_(Endpoint.name.in_(names), Endpoint.id.in_(ids))
    statement = select(Endpoint).where(Endpoint.is_kept_in(g.workspace_id), is_named)
    found: defaultdict[str, list[Endpoint]] = defaultdict(list)
    for endpoint in db.session.scalars(statement.options(selectinload(Endpoint.subscriptions))):
        found[endpoint.name].append(endpoint)
        found[endpoint.id].append(endpoint)
    return found


def _plan(body: PlannedInput, stored: Sequence[Endpoint], timeout_ms: int) -> PlannedEndpoint:
    try:
        if len(stored) > 1:
            raise errors.ambiguous_name(AmbiguousName(body.name))
        endpoint = stored[0] if stored else None
        if body.id and endpoint is None:
            refuse(422, "not_found", "There is no such endpoint.", "id")
        values = endpoint_input.new_values(body, body.name, timeout_ms=timeout_ms, stored=endpoint)
    except ApiError as error:
        details = ErrorDetails(error.code, error.message, error.field)
        return PlannedEndpoint(name=body.name, action=PlannedAction.REFUSE, error=details)
    return _new(body, values) if endpoint is None else _changed(body, values, endpoint)


def _new(body: PlannedInput, values: EndpointValues) -> PlannedEndpoint:
    after = _after(values, is_disabled=body.disabled is True, managed_by=None)
    return PlannedEndpoint(name=values.name, action=PlannedAction.CREATE, after=after)


def _changed(body: PlannedInput, values: EndpointValues, endpoint: Endpoint) -> PlannedEndpoint:
    desired = endpoint_input.desired_state(body)
    difference = named_endpoints.compare(endpoint, values, desired, services().cipher)
    changed = difference.fields if endpoint.name == values.name else ["name", *difference.fields]
    is_disabled = not endpoint.is_enabled if desired.is_disabled is None else desired.is_disabled
    return PlannedEndpoint(
        name=values.name,
        action=PlannedAction.CHANGE if changed else PlannedAction.NONE,
        changed=changed,
        changed_headers=difference.headers,
        before=endpoint_answers.answer(endpoint),
        after=_after(values, is_disabled=is_disabled, managed_by=endpoint.managed_by),
        etag=f'"{endpoint_answers.etag(endpoint)}"',
        held=_count_held(endpoint, difference) if not is_disabled else 0,
    )


def _count_held(endpoint: Endpoint, difference: SettingDifference) -> int:
    return waiting_counts.count_held(db.session(), endpoint.id) if "disabled" in difference.fields else 0


def _after(values: EndpointValues, *, is_disabled: bool, managed_by: str | None) -> PlannedSettings:
    given: Any = values.managed_by
    return PlannedSettings(
        url=values.url,
        all_events=values.all_events,
        event_types=values.subscribed,
        timeout_seconds=-(-values.timeout_ms // 1000),
        rate_per_second=values.rate_per_second,
        headers=[EndpointHeader(name) for name, _ in values.headers],
        disabled=is_disabled,
        managed_by=given if given is None or isinstance(given, str) else managed_by,
    )


OPERATIONS = (
    Operation(
        id="planEndpoints",
        method="POST",
        path="/endpoints/plan",
        view=plan_endpoints,
        tag="Endpoints",
        summary="See what putting endpoints by their names would do",
        description=(
            "Changes nothing. Each is judged as `PUT /endpoints/by-name/{name}` judges it, and compared with "
            "the endpoint that has the name, or the `id` if one is given; what is wrong with one is said of "
            "that one."
        ),
        scope=TokenScope.ENDPOINTS_WRITE,
        body=PlanInput,
        largest_body_bytes=LARGEST_PLAN_BYTES,
        answers={200: EndpointPlan},
    ),
)
