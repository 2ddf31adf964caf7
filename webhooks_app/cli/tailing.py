"""What is accepted, and what becomes of it: looks at the log of a platform that cost it two requests each."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from webhooks_app.cli.api_client import PAGE, ApiClient
from webhooks_app.core import clock

Row = dict[str, Any]

# Of transactions that were under way at once, one may commit a delivery behind those of a later moment.
OVERLAP_SECONDS = 5.0
# What is still open is watched no further back than this; each look asks for a page of it.
MOST_WATCHED = 1000
# Of what is new to a look, the newest: nobody reads more, and the log has it all.
MOST_NEW = 1000
_WAITING = frozenset({"pending", "sending", "retrying"})
_OPEN = _WAITING | {"held"}
ACCEPTED, ATTEMPT, STATE = "accepted", "attempt", "state"


class Tailing:
    """One per command. Each row is a delivery as the API lists it, with its `kind`.

    `has_left_out` says that the last look found more than it yielded.

    `accepted` comes once for each delivery; `attempt` when it was attempted, of several attempts between two
    looks for the last; `state` when it became held, canceled, failed or due without one.
    """

    def __init__(
        self, client: ApiClient, query: dict[str, str], *, since_seconds: int = 0, with_attempts: bool = True
    ) -> None:
        self._client = client
        self._query = query
        self._with_attempts = with_attempts
        self._ahead = _clock_ahead(client)
        self._from = self._now() - timedelta(seconds=since_seconds)
        self._seen: dict[str, datetime] = {}
        # What can still change, newest last; the first are those that have waited longest to be asked for.
        self._open: dict[str, Row] = {}
        self.has_left_out = False

    def look(self) -> Iterator[Row]:
        """Yield what happened since the last look, oldest first. Raises ApiFailure; the next look goes on."""
        if self._with_attempts:
            yield from self._changes()
        for row in self._new():
            yield {**row, "kind": ACCEPTED}
            if self._with_attempts:
                if row["attempts"]:
                    yield {**row, "kind": ATTEMPT}
                self._watch(row)

    def _new(self) -> list[Row]:
        """Return the deliveries that were not seen yet, oldest first, the newest MOST_NEW."""
        found: list[Row] = []
        known_in_a_row = 0
        query = {**self._query, "from": clock.format_rfc3339(self._from), "limit": PAGE}
        for row in self._client.each("/deliveries", query):
            known_in_a_row = known_in_a_row + 1 if row["id"] in self._seen else 0
            if known_in_a_row == PAGE or len(found) == MOST_NEW:
                break
            if not known_in_a_row:
                found.append(row)
        self._remember(found)
        self.has_left_out = len(found) == MOST_NEW
        return found[::-1]

    def _remember(self, found: list[Row]) -> None:
        self._seen |= {row["id"]: datetime.fromisoformat(row["created_at"]) for row in found}
        if self._seen:
            newest = max(self._seen.values())
            self._from = max(self._from, newest - timedelta(seconds=OVERLAP_SECONDS))
            self._seen = {each: made for each, made in self._seen.items() if made >= self._from}

    def _watch(self, row: Row) -> None:
        if row["status"] in _OPEN:
            self._open[row["id"]] = row
            if len(self._open) > MOST_WATCHED:
                del self._open[next(iter(self._open))]

    def _changes(self) -> Iterator[Row]:
        """Yield what became of a page of those that are open, of those that are due before any other."""
        asked = self._to_ask()
        if not asked:
            return
        rows = self._client.request("GET", "/deliveries", query={"ids": ",".join(asked)}).body["data"]
        before = {each: self._open.pop(each) for each in asked}
        for row in rows:
            if kind := _kind(before[row["id"]], row):
                yield {**row, "kind": kind}
            self._watch(row)

    def _to_ask(self) -> list[str]:
        now = clock.format_rfc3339(self._now())
        is_due = {each: (row["next_attempt_at"] or "9") <= now for each, row in self._open.items()}
        return sorted(is_due, key=lambda each: not is_due[each])[:PAGE]

    def _now(self) -> datetime:
        """Return what the platform's clock shows."""
        return clock.now() + self._ahead


def _kind(before: Row, now: Row) -> str:
    if now["attempts"] > before["attempts"]:
        return ATTEMPT
    is_same = now["status"] == before["status"] or {now["status"], before["status"]} <= _WAITING
    return "" if is_same else STATE


def _clock_ahead(client: ApiClient) -> timedelta:
    """Return by how much the platform's clock is ahead of this one, where its answers tell."""
    answer = client.request("GET", "/deliveries", query={"limit": 1})
    try:
        return parsedate_to_datetime(answer.headers["Date"]) - clock.now()
    except (KeyError, ValueError):
        return timedelta()
