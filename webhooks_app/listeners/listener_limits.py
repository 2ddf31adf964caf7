"""How many listeners there may be, and how often they begin, so that no token to listen fills the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from webhooks_app.accounts import windowed_counts
from webhooks_app.accounts.windowed_counts import WindowedLimit, key_of
from webhooks_app.db.engines import ReadDatabase, WriteDatabase
from webhooks_app.db.models import Endpoint, Listener
from webhooks_app.db.write_connection import WriteConnection


@dataclass(slots=True, frozen=True)
class ListenerLimits:
    """How many listeners there may be, and for how long one waits to hear from its program.

    `names` are those of one token, `all_names` those of its workspace, including ended ones that retention
    still keeps. A listener lasts for `kept_for` after a renewal, and a renewal that would add no more than
    `renewed_within` is not written, so that not every request writes. Within `begun_within` a token may begin
    `begun` times, and its workspace `all_begun` times, as each leaves lines in the audit log. In that time
    it may have `past` events added, and its workspace `all_past`.
    """

    live: int = 20
    names: int = 100
    all_names: int = 500
    begun: int = 120
    all_begun: int = 300
    past: int = 20_000
    all_past: int = 50_000
    begun_within: timedelta = timedelta(hours=1)
    kept_for: timedelta = timedelta(minutes=10)
    renewed_within: timedelta = timedelta(seconds=30)


DEFAULT_LIMITS = ListenerLimits()


class TooManyListeners(Exception):
    """There are `count` already, as many as there may be, of `what`: words for people."""

    def __init__(self, count: int, what: str) -> None:
        super().__init__(count, what)
        self.count, self.what = count, what


class TooOften(Exception):
    """Something was done as often as it may be within an hour or so; again in `seconds`."""

    def __init__(self, what: str, seconds: int) -> None:
        super().__init__(what, seconds)
        self.what, self.seconds = what, seconds


def check_counts(
    connection: Connection, workspace_id: str, token_id: str, limits: ListenerLimits, *, is_new: bool
) -> None:
    """Raise TooManyListeners where there is no room for one more; `is_new`: under a new name."""
    live = select(func.count()).where(Endpoint.is_live_in(workspace_id), Endpoint.is_listener)
    if connection.execute(live).scalar_one() >= limits.live:
        raise TooManyListeners(limits.live, "listeners in this workspace")
    if not is_new:
        return
    names = select(func.count()).where(Listener.token_id == token_id)
    if connection.execute(names).scalar_one() >= limits.names:
        raise TooManyListeners(limits.names, "names of listeners with this token")
    all_names = select(func.count()).join_from(Listener, Endpoint, Endpoint.id == Listener.endpoint_id)
    all_names = all_names.where(Endpoint.workspace_id == workspace_id)
    if connection.execute(all_names).scalar_one() >= limits.all_names:
        raise TooManyListeners(limits.all_names, "names of listeners in this workspace")


def count_start(
    database: WriteDatabase, workspace_id: str, token_id: str, limits: ListenerLimits, *, now: datetime
) -> None:
    """Count one that begins. Raises TooOften."""
    with database.begin() as connection:
        for allowance in _allowances("begin", workspace_id, token_id, limits.all_begun, limits.begun):
            if not windowed_counts.take(connection, allowance, now, limits.begun_within):
                raise TooOften(
                    "listeners were started", windowed_counts.seconds_left(connection, allowance, now)
                )


def check_past(
    database: ReadDatabase,
    workspace_id: str,
    token_id: str,
    *,
    now: datetime,
    limits: ListenerLimits = DEFAULT_LIMITS,
) -> None:
    """Raise TooOften where so many past events were added that it takes a while for more."""
    with database.connect_autocommit() as connection:
        for allowance in _allowances("past", workspace_id, token_id, limits.all_past, limits.past):
            if seconds := windowed_counts.seconds_left(connection, allowance, now):
                raise TooOften("past events were added", seconds)


def count_past(
    connection: WriteConnection,
    workspace_id: str,
    token_id: str,
    *,
    count: int,
    now: datetime,
    limits: ListenerLimits = DEFAULT_LIMITS,
) -> None:
    """Count events that are added in this transaction."""
    for allowance in _allowances("past", workspace_id, token_id, limits.all_past, limits.past):
        windowed_counts.take(connection, allowance, now, limits.begun_within, count=count)


def _allowances(
    what: str, workspace_id: str, token_id: str, of_workspace: int, of_token: int
) -> Sequence[WindowedLimit]:
    return [
        WindowedLimit(key_of("listener", what, token_id), of_token),
        WindowedLimit(key_of("listener", what, workspace_id), of_workspace),
    ]
