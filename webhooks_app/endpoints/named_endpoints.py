"""Endpoints by their names: made or brought to what is wanted, however often that is asked for."""

from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock
from webhooks_app.core.encryption import Cipher, DecryptionError
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, Workspace
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints import actions, custom_headers, optimistic_lock, waiting_counts
from webhooks_app.endpoints.endpoint_values import DesiredState, EndpointValues

_AS_IT_IS = DesiredState()


class AmbiguousName(Exception):
    """The workspace has several endpoints of that name."""


class HeldChoiceNeeded(Exception):
    """Deliveries were held while it was disabled: whether they are sent or discarded is not said."""


@dataclass(slots=True, frozen=True)
class PutResult:
    """The endpoint's id, and what was done: created, changed, or nothing as it was as wanted.

    `sent` is how many held deliveries are on their way now.
    """

    endpoint_id: str
    is_new: bool
    is_changed: bool
    sent: int = 0


@dataclass(slots=True, frozen=True)
class SettingDifference:
    """The fields, as the API names them, in which an endpoint is not as wanted; of headers, which ones."""

    fields: list[str]
    headers: list[str]


def put(
    database: WriteDatabase,
    cipher: Cipher,
    workspace_id: str,
    values: EndpointValues,
    *,
    desired: DesiredState = _AS_IT_IS,
    seen_at: datetime | None = None,
    is_new_only: bool = False,
    actor: Actor,
) -> PutResult:
    """Create the endpoint named so, or change the one that is.

    Raises AmbiguousName, ValueNeeded, HeldChoiceNeeded and ChangedMeanwhile: where the endpoint is not as it
    was at `seen_at`, or there is one although there was to be none.
    """
    with database.begin() as connection:
        # Two that put one name at once would both create it. Events may come in meanwhile.
        own = select(Workspace.id).where(Workspace.id == workspace_id)
        connection.execute(own.with_for_update(key_share=True))
        with Session(connection) as session:
            endpoint = find(session, workspace_id, values.name)
            if endpoint is None:
                if seen_at is not None:
                    raise optimistic_lock.ChangedMeanwhile
                return _create(connection, cipher, workspace_id, values, desired, actor)
            if is_new_only:
                raise optimistic_lock.ChangedMeanwhile
            optimistic_lock.check(connection, endpoint.id, seen_at)
            fields = set(compare(endpoint, values, desired, cipher).fields)
            if fields - {"disabled"}:
                actions.change_in_transaction(connection, cipher, endpoint, values, actor=actor)
            sent = _switch(connection, session, endpoint, desired, actor) if "disabled" in fields else 0
            return PutResult(endpoint.id, is_new=False, is_changed=bool(fields), sent=sent)


def _create(
    connection: WriteConnection,
    cipher: Cipher,
    workspace_id: str,
    values: EndpointValues,
    desired: DesiredState,
    actor: Actor,
) -> PutResult:
    new_id = actions.create_in_transaction(connection, cipher, workspace_id, values, actor=actor)
    if desired.is_disabled:
        _disable(connection, new_id, actor)
    return PutResult(new_id, is_new=True, is_changed=True)


def _switch(
    connection: WriteConnection, session: Session, endpoint: Endpoint, desired: DesiredState, actor: Actor
) -> int:
    """Disable the endpoint, or enable it; return how many deliveries are on their way thereby."""
    if desired.is_disabled:
        _disable(connection, endpoint.id, actor)
        return 0
    if desired.send_held is None and waiting_counts.count_held(session, endpoint.id):
        raise HeldChoiceNeeded
    send_held = desired.send_held is True
    held = actions.enable_in_transaction(connection, endpoint, send_held=send_held, actor=actor)
    return held if send_held else 0


def _disable(connection: WriteConnection, endpoint_id: str, actor: Actor) -> None:
    reason = f"Disabled by {actor.name}."
    actions.disable_in_transaction(connection, endpoint_id, reason=reason, actor=actor, now=clock.now())


def find(session: Session, workspace_id: str, name: str) -> Endpoint | None:
    """Return the workspace's endpoint of that name, or None. Raises AmbiguousName."""
    found = session.scalars(_named(workspace_id, name).limit(2)).all()
    if len(found) > 1:
        raise AmbiguousName(name)
    return found[0] if found else None


def _named(workspace_id: str, name: str) -> Select[Endpoint]:
    return select(Endpoint).where(Endpoint.is_kept_in(workspace_id), Endpoint.name == name)


def compare(
    endpoint: Endpoint, values: EndpointValues, desired: DesiredState, cipher: Cipher
) -> SettingDifference:
    """Return in what the endpoint is not as wanted. Raises ValueNeeded."""
    headers = _changed_headers(endpoint, values, cipher)
    is_other = {
        "url": endpoint.url != values.url,
        "all_events": endpoint.all_events != values.all_events,
        "event_types": endpoint.event_types != values.subscribed,
        "timeout_seconds": endpoint.timeout_ms != values.timeout_ms,
        "rate_per_second": endpoint.rate_per_second != values.rate_per_second,
        "headers": headers is None or bool(headers),
        "disabled": desired.is_disabled not in (None, not endpoint.is_enabled),
        "managed_by": values.managed_by not in (UNSET, endpoint.managed_by),
    }
    return SettingDifference([name for name, differs in is_other.items() if differs], headers or [])


def _changed_headers(endpoint: Endpoint, values: EndpointValues, cipher: Cipher) -> list[str] | None:
    """Return the names of headers that come, go, move or get another value; None where none can be read."""
    try:
        stored = custom_headers.decrypt(cipher, endpoint)
        wanted = custom_headers.fill_in(cipher, endpoint, values.headers, values.url)
    except DecryptionError:
        return None
    if dict(stored) == dict(wanted):
        # Their order alone may differ, in which they are sent.
        return [] if stored == wanted else [name for name, _ in wanted]
    return sorted({name for name, _ in set(stored) ^ set(wanted)})
