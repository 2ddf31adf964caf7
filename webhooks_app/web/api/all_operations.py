"""Every operation of the API, in the order of its document."""

from webhooks_app.web.api import (
    deliveries,
    endpoint_plan,
    endpoint_secrets,
    endpoint_subscriptions,
    endpoint_use,
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
    *endpoint_use.OPERATIONS,
    *endpoint_secrets.OPERATIONS,
    *endpoint_subscriptions.OPERATIONS,
    *deliveries.OPERATIONS,
    *recoveries.OPERATIONS,
    *listeners.OPERATIONS,
)
