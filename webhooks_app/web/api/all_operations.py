"""Every operation of the API, in the order of its document."""

from webhooks_app.web.api import (
    deliveries,
    endpoint_plan,
    endpoint_secrets,
    endpoint_state,
    endpoint_subscriptions,
    endpoints,
    erasures,
    listeners,
    producer,
    recoveries,
)

OPERATIONS = (
    *producer.OPERATIONS,
    *erasures.OPERATIONS,
    *endpoints.OPERATIONS,
    *endpoint_plan.OPERATIONS,
    *endpoint_state.OPERATIONS,
    *endpoint_secrets.OPERATIONS,
    *endpoint_subscriptions.OPERATIONS,
    *deliveries.OPERATIONS,
    *recoveries.OPERATIONS,
    *listeners.OPERATIONS,
)
