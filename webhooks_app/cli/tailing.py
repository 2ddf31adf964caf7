"""What is accepted, and what becomes of it: looks at the log of a platform.

A look costs two requests as long as no more than a page is new.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.api_client import PAGE, ApiClient
from webhooks_app.core import clock

TailedRow = dict[str, Any]

_WAITING = frozenset({"pending", "sending", "retrying"})
_OPEN = _WAITING | {"held"}
# A platform of the version before answers so, to which `ids` is an unknown parameter.
_UNKNOWN_PARAMETER = frozenset({400, 422})
_GOING_ON = "From here on, only what is accepted is shown."
ACCEPTED, ATTEMPT, STATE = "accepted", "attempt", "state"


@dataclass(frozen=True, slots=True)
class TailLimits:
    """How far a look goes.

    Of transactions that were under way at once, one may commit a delivery behind those of a later moment, for
    `overlap_seconds`; the rest of a large fan-out comes later, too. Where no newer one was found, as on a
    quiet platform or by a filter that seldom matches, a look goes back by `late_seconds`. What is still open
    is watched no further back than `most_watched`; each look asks for a page of it. Of what is new to a look,
    the newest `most_new`: nobody reads more, and the log has it all.
    """

    overlap_seconds: float = 5.0
    late_seconds: float = 30.0
    most_watched: int = 1000
    most_new: int = 1000


DEFAULT_LIMITS = TailLimits()


class Tailing:
    """One per command. Each row is a delivery as the API lists it, with its `kind`.

    `has_left_out` says that the last look found more than it yielded.

    `accepted` comes once for each delivery; `attempt` when it was attempted, of several attempts between two
    looks for the last; `state` when it became held, canceled, failed or due without one. `tell` is called
    with a sentence where the platform cannot say what becomes of deliveries: then `accepted` comes alone.
    """

    def __init__(
        self,
        client: ApiClient,
        query: dict[str, str],
        *,
        since_seconds: int = 0,
        with_attempts: bool = True,
        limits: TailLimits = DEFAULT_LIMITS,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._query = query
        self._with_attempts = with_attempts
        self.limits = limits
        self._tell = tell
        # The platform's clock, counted on from here on: this machine's may be put right meanwhile.
        self._began_at, self._began = clock.now() + _clock_ahead(client), time.monotonic()
        self._from = self._now() - timedelta(seconds=since_seconds)
        self._seen: dict[str, datetime] = {}
        # When the newest of them was found, by time.monotonic(); whether none of then can come any more.
        self._found_at = 0.0
        self._is_settled = False
        # The newest of what was left out, which is not to come later as if it were new.
        self._left_out_from = ""
        # What can still change, newest last; the first are those that have waited longest to be asked for.
        self._open: dict[str, TailedRow] = {}
        self.has_left_out = False

    def read_new(self) -> Iterator[TailedRow]:
        """Yield what happened since the last look, oldest first. Raises ApiFailure; the next look goes on."""
        if self._with_attempts:
            yield from self._changes()
        for row in self._new():
            yield {**row, "kind": ACCEPTED}
            if self._with_attempts:
                if row["attempts"]:
                    yield {**row, "kind": ATTEMPT}
                self._watch(row)

    def _new(self) -> list[TailedRow]:
        """Return the deliveries that were not seen yet, oldest first, the newest of them."""
        began, began_at = time.monotonic(), self._now()
        found = list(islice(self._unknown(), self.limits.most_new + 1))
        self.has_left_out = len(found) > self.limits.most_new
        if self.has_left_out:
            self._left_out_from = found.pop()["id"]
        if found:
            self._found_at = time.monotonic()
        # Whatever was under way with the newest has been seen by a look of then or later.
        self._is_settled = not found and began >= self._found_at + self.limits.overlap_seconds
        self._remember(found, began_at)
        return found[::-1]

    def _unknown(self) -> Iterator[TailedRow]:
        """Yield those that were not seen yet, newest first, of all that may have been committed since."""
        known_in_a_row = 0
        query = {**self._query, "from": clock.format_rfc3339(self._from), "limit": PAGE}
        for row in self._client.each("/deliveries", query):
            known_in_a_row = known_in_a_row + 1 if row["id"] in self._seen else 0
            if row["id"] == self._left_out_from or (self._is_settled and known_in_a_row == PAGE):
                return
            if not known_in_a_row:
                yield row

    def _remember(self, found: list[TailedRow], looked_at: datetime) -> None:
        """Note what a look of that moment found, so that the next need not go over the time before."""
        self._seen |= {row["id"]: datetime.fromisoformat(row["created_at"]) for row in found}
        self._from = max(self._from, looked_at - timedelta(seconds=self.limits.late_seconds))
        if self._seen:
            overlap = timedelta(seconds=self.limits.overlap_seconds)
            self._from = max(self._from, max(self._seen.values()) - overlap)
        self._seen = {each: made for each, made in self._seen.items() if made >= self._from}

    def _watch(self, row: TailedRow) -> None:
        if row["status"] in _OPEN:
            self._open[row["id"]] = row
            if len(self._open) > self.limits.most_watched:
                del self._open[next(iter(self._open))]

    def _changes(self) -> Iterator[TailedRow]:
        """Yield what became of a page of those that are open, of those that are due before any other."""
        asked = self._to_ask()
        if not asked:
            return
        try:
            rows = self._client.request("GET", "/deliveries", query={"ids": ",".join(asked)}).body["data"]
        except ApiFailure as failure:
            if failure.status not in _UNKNOWN_PARAMETER:
                raise
            self._with_attempts = False
            self._open.clear()
            self._tell(f"This platform does not say what becomes of deliveries: {failure} {_GOING_ON}")
            return
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
        return self._began_at + timedelta(seconds=time.monotonic() - self._began)


def _kind(before: TailedRow, now: TailedRow) -> str:
    if now["attempts"] > before["attempts"]:
        return ATTEMPT
    is_same = now["status"] == before["status"] or {now["status"], before["status"]} <= _WAITING
    return "" if is_same else STATE


def _clock_ahead(client: ApiClient) -> timedelta:
    """Return by how much the platform's clock is ahead of this one, where its answers tell."""
    answer = client.request("GET", "/deliveries", query={"limit": 1})
    shown = moment_of(answer.headers.get("Date", ""))
    return shown - clock.now() if shown else timedelta()


def moment_of(date: str) -> datetime | None:
    """Return what a Date header says (RFC 9110, section 6.6.1), None where that is nothing. Pure.

    What names no zone is UTC: `-0000`, or two of them, as a proxy may add its own.
    """
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
