"""What is needed to send what was claimed: where each endpoint's deliveries go, and the events' bodies."""

from collections.abc import Collection

from webhooks_app.db.engines import ReadDatabase
from webhooks_app.endpoints.destinations import Destination, Destinations
from webhooks_app.worker import signed_requests
from webhooks_app.worker.claimed_delivery import ClaimedDelivery

# Destinations by endpoint, and by event the bodies that the claims do not hold.
SendData = tuple[dict[str, Destination], dict[str, bytes]]


def known(destinations: Destinations, claimed: Collection[ClaimedDelivery]) -> SendData | None:
    """Return what is needed, if the claims and this process's memory hold all of it."""
    by_endpoint: dict[str, Destination] = {}
    for each in claimed:
        if each.body is None or each.changed_at is None:
            return None
        if each.endpoint_id not in by_endpoint:
            destination = destinations.known(each.endpoint_id, each.changed_at)
            if destination is None:
                return None
            by_endpoint[each.endpoint_id] = destination
    return by_endpoint, {}


def load(
    database: ReadDatabase, destinations: Destinations, claimed: Collection[ClaimedDelivery]
) -> SendData:
    """Return what is needed, read from the database."""
    with database.connect_autocommit() as connection:
        by_endpoint = destinations.load(connection, {each.endpoint_id for each in claimed})
        bodies = signed_requests.bodies(connection, {each.event_id for each in claimed if each.body is None})
    return by_endpoint, bodies
