"""The ids of what a request is about, which its line in the access log has, where such lines are written."""

import re
from collections.abc import Sequence

from flask import request

# What the web's server adds to the WSGI environment, and to the state of its own scope, for as long as there
# is an access log: a dictionary. No client can set a name without HTTP_ before it.
KEY = "webhooks_app.logged_ids"
_FIELDS = {"evt": "event_id", "dlv": "delivery_id", "ep": "endpoint_id"}
_IN_PATH = re.compile(r"(?<=/)(evt|dlv|ep)_[0-9a-v]{26}(?=/|$)")


def of_path(path: str) -> dict[str, str]:
    """Return the ids of the event, the delivery and the endpoint that a path names. Pure."""
    return {_FIELDS[found[1]]: found[0] for found in _IN_PATH.finditer(path)}


def of_events(event_ids: Sequence[str], *, is_batch: bool) -> dict[str, str | int]:
    """Return what a line says of accepted events: of a batch the first, and how many they are. Pure."""
    return {"event_id": event_ids[0]} | ({"events": len(event_ids)} if is_batch else {})


def add_to_access_log(ids: dict[str, str | int]) -> None:
    """Have the line of the request that is answered say this, if there will be one."""
    if (noted := request.environ.get(KEY)) is not None:
        noted.update(ids)
