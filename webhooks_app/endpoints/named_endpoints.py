"""Endpoints by their names: made or brought to what is wanted, however often that is asked for."""

from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from webhooks_app.accounts.audit import Actor
from webhooks_app.core.encryption import Cipher, DecryptionError
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, Workspace
from webhooks_app.endpoints import actions, custom_headers, versions
from webhooks_app.endpoints.endpoint_values import EndpointValues


class AmbiguousName(Exception):
    """The workspace has several endpoints of that name."""


@dataclass(slots=True, frozen=True)
class PutResult:
    """The endpoint's id, and what was done: created, changed, or nothing as it was as wanted."""

    endpoint_id: str
    is_new: bool
    is_changed: bool


def put(
    database: WriteDatabase,
    cipher: Cipher,
    workspace_id: str,
    values: EndpointValues,
    *,
    seen_at: datetime | None = None,
    actor: Actor,
) -> PutResult:
    """Create the endpoint named so, or change the one that is.

    Raises AmbiguousName, ValueNeeded and, given the `updated_at` that the caller saw, ChangedMeanwhile.
    """
    with database.begin() as connection:
        # Two that put one name at once would both create it. Events may come in meanwhile.
        own = select(Workspace.id).where(Workspace.id == workspace_id)
        connection.execute(own.with_for_update(key_share=True))
        with Session(connection) as session:
            endpoint = find(session, workspace_id, values.name)
            if endpoint is None:
                if seen_at is not None:
                    raise versions.ChangedMeanwhile
                new_id = actions.create_in_transaction(connection, cipher, workspace_id, values, actor=actor)
                return PutResult(new_id, is_new=True, is_changed=True)
            versions.check(connection, endpoint.id, seen_at)
            is_changed = not _is_as_wanted(endpoint, values, cipher)
            if is_changed:
                actions.change_in_transaction(connection, cipher, endpoint, values, actor=actor)
            return PutResult(endpoint.id, is_new=False, is_changed=is_changed)


def find(session: Session, workspace_id: str, name: str) -> Endpoint | None:
    """Return the workspace's endpoint of that name, or None. Raises AmbiguousName."""
    found = session.scalars(_named(workspace_id, name).limit(2)).all()
    if len(found) > 1:
        raise AmbiguousName(name)
    return found[0] if found else None


def _named(workspace_id: str, name: str) -> Select[Endpoint]:
    return select(Endpoint).where(Endpoint.is_kept_in(workspace_id), Endpoint.name == name)


def _is_as_wanted(endpoint: Endpoint, values: EndpointValues, cipher: Cipher) -> bool:
    """Tell whether a change to these values would change nothing. Raises ValueNeeded."""
    try:
        stored = custom_headers.decrypt(cipher, endpoint)
        headers = custom_headers.fill_in(cipher, endpoint, values.headers, values.url)
    except DecryptionError:
        return False
    return (
        endpoint.url == values.url
        and endpoint.all_events == values.all_events
        and endpoint.event_types == values.subscribed
        and endpoint.timeout_ms == values.timeout_ms
        and endpoint.rate_per_second == values.rate_per_second
        and stored == headers
        and values.managed_by in (UNSET, endpoint.managed_by)
    )
