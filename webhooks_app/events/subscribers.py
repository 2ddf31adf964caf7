"""Who sends events, and which endpoints they go to: one statement for a whole group of requests."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.api_tokens import LiveToken
from webhooks_app.core import clock
from webhooks_app.db import bulk_sql
from webhooks_app.db.column_types import of_driver
from webhooks_app.db.models import EndpointState
from webhooks_app.events.fan_out_plan import Topic


class EventSource(NamedTuple):
    """Who sends an event of a type: an API token, by its hash, or else a workspace that is known already."""

    token_hash: str | None
    workspace_id: str | None
    type: str


@dataclass(frozen=True, slots=True)
class Subscribers:
    """The live tokens by their hashes, and the endpoints that subscribe to each topic.

    Of these, which are `disabled`, and which are `listeners`.
    """

    tokens: Mapping[str, LiveToken]
    endpoints: Mapping[Topic, Sequence[str]]
    disabled: frozenset[str]
    listeners: frozenset[str] = frozenset()


class _Found(NamedTuple):
    """A sender with its token, if that lives, and one of those who subscribe, if anybody does."""

    id: str | None
    last_used_at: datetime | None
    workspace_id: str
    name: str
    scopes: str
    rate_per_second: int | None
    burst: int | None
    token_hash: str
    type: str
    endpoint_id: str | None
    state: str | None
    is_listener: bool | None


_FIND = bulk_sql.prepare_with_rows(
    f"""
    SELECT token.id, token.last_used_at, coalesce(token.workspace_id, r.workspace_id),
        token.name, token.scopes, token.rate_per_second, token.burst,
        r.token_hash, r.type, endpoint.id, endpoint.state, endpoint.is_listener
    FROM {{rows}}
    LEFT JOIN api_tokens AS token ON token.token_hash = r.token_hash AND {api_tokens.IS_LIVE}
    LEFT JOIN endpoints AS endpoint
        ON endpoint.workspace_id = coalesce(token.workspace_id, r.workspace_id)
        AND endpoint.deleted_at IS NULL
        AND (endpoint.all_events OR EXISTS (
            SELECT 1 FROM subscriptions AS s WHERE s.endpoint_id = endpoint.id AND s.event_type = r.type
        ))
    """,
    dict.fromkeys(EventSource._fields, "text"),
)


def find(connection: Connection, senders: Iterable[EventSource]) -> Subscribers:
    """Return the live tokens among the senders, and who subscribes to what they send."""
    tokens: dict[str, LiveToken] = {}
    endpoints: dict[Topic, dict[str, None]] = defaultdict(dict)  # two tokens of a workspace find the same
    disabled: set[str] = set()
    listeners: set[str] = set()
    rows = [each._asdict() for each in set(senders)]
    for row in map(_Found._make, bulk_sql.run_with_rows(connection, _FIND, rows, now=clock.now())):
        if row.id is not None and row.token_hash not in tokens:
            tokens[row.token_hash] = api_tokens.of_row(row._replace(last_used_at=of_driver(row.last_used_at)))
        if row.endpoint_id is None:
            continue
        endpoints[row.workspace_id, row.type][row.endpoint_id] = None
        if row.state == EndpointState.DISABLED:
            disabled.add(row.endpoint_id)
        if row.is_listener:
            listeners.add(row.endpoint_id)
    by_topic = {topic: list(some) for topic, some in endpoints.items()}
    return Subscribers(tokens, by_topic, frozenset(disabled), frozenset(listeners))
