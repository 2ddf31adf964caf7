"""A listener from its beginning to its end: requests fetched, handed on, and reported on."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Any

from webhooks_app.cli.api_answers import AWAY_STATUSES, ApiAnswer, ApiFailure
from webhooks_app.cli.api_client import ApiClient
from webhooks_app.cli.forwarding import Forwarded, ForwardTarget, forward

# How long one request waits for what is due, and how much longer its answer may take on the way.
WAIT_SECONDS = 25
_PATIENCE_SECONDS = 10.0
_BATCH_PER_THREAD = 5
_MOST_AT_ONCE = 20  # that the API gives
_LONGEST_ASKED_SECONDS = 300.0  # of a Retry-After
_STOP_LOOK_SECONDS = 0.1  # a signal's handler may take no lock, so a pause cannot wait for one


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """What the user asked for; `event_types` empty for all."""

    name: str
    target: ForwardTarget
    event_types: tuple[str, ...] = ()
    timeout_seconds: int | None = None
    since_seconds: int | None = None
    concurrency: int = 1
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 5.0

    def as_body(self, *, with_past: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "name": self.name,
            "forward_to": self.target.url,
            "event_types": list(self.event_types),
        }
        if self.timeout_seconds:
            body["timeout_seconds"] = self.timeout_seconds
        if with_past and self.since_seconds:
            body["since_seconds"] = self.since_seconds
        return body


@dataclass(frozen=True, slots=True)
class Handled:
    """A delivery that was handed on; `result` is what the platform made of it, None where it had no use."""

    request: dict[str, Any]
    forwarded: Forwarded
    result: dict[str, Any] | None


class TakenOver(Exception):
    """Another program listens under the name."""


class Listening:
    """One per process. `tell` is called with a sentence when something happens to the connection."""

    def __init__(self, client: ApiClient, options: ListenOptions, tell: Callable[[str], None]) -> None:
        self._client = client
        client.pause = self._sleep
        self._options = options
        self._tell = tell
        self._listener: dict[str, Any] = {}
        self._is_away = False
        self.is_stopping = False
        # Whether nothing is in hand, so that it may be interrupted wherever it is.
        self.is_waiting = False

    def begin(self) -> dict[str, Any]:
        """Begin, and return the listener with its secret. Raises ApiFailure."""
        try:
            self._listener = self._start(with_past=True)
        except ApiFailure as failure:
            if failure.status != 404:
                raise
            message = "This platform has no listeners: it is older than this command, or AVRA_URL is wrong."
            raise ApiFailure(message, status=404, code=failure.code) from failure
        return self._listener

    @property
    def has_begun(self) -> bool:
        return bool(self._listener)

    def end(self) -> int:
        """End the listener; return how many deliveries waited for it. Raises ApiFailure."""
        canceled: int = self._client.request("DELETE", self._path).body["canceled"]
        return canceled

    def handle_all(self) -> Iterator[Handled]:
        """Yield each delivery once it was handed on, in their order, until `is_stopping`.

        Raises TakenOver, and ApiFailure where trying again is of no use.
        """
        threads = self._options.concurrency
        with ThreadPool(threads) as pool:  # whose end waits for no request under way, unlike an executor's
            while not self.is_stopping:
                requests = self._fetch(min(_MOST_AT_ONCE, _BATCH_PER_THREAD * threads))
                for request, forwarded in zip(requests, pool.imap(self._forward, requests), strict=True):
                    if forwarded is not None:
                        yield Handled(request, forwarded, self._report(request, forwarded))

    @property
    def _path(self) -> str:
        return f"/listeners/{self._listener['id']}"

    def _start(self, *, with_past: bool) -> dict[str, Any]:
        body = self._options.as_body(with_past=with_past)
        started: dict[str, Any] = self._client.request(
            "POST", "/listeners", body=body, is_repeatable=True
        ).body
        return started

    def _fetch(self, limit: int) -> list[dict[str, Any]]:
        """Return what is due, as soon as something is or after a while."""
        self.is_waiting = True
        try:
            if self.is_stopping:  # since that was looked at, when no handler interrupted this
                return []
            answer = self._patiently(partial(self._claim, limit))
        finally:
            self.is_waiting = False
        if answer is None:
            return []
        if not answer.body["data"] and (asked := answer.headers.get("Retry-After")):
            self._sleep(float(asked))
        requests: list[dict[str, Any]] = answer.body["data"]
        return requests

    def _claim(self, limit: int) -> ApiAnswer:
        """Return what is due. Who was away is not asked to wait, so that the user is told that it is back."""
        wait_seconds = 0 if self._is_away else WAIT_SECONDS
        return self._client.request(
            "POST",
            f"{self._path}/claims",
            body={"session": self._listener["session"], "wait_seconds": wait_seconds, "limit": limit},
            read_seconds=wait_seconds + _PATIENCE_SECONDS,
        )

    def _forward(self, request: dict[str, Any]) -> Forwarded | None:
        """Hand a request on, unless the user wants to stop: what is not begun waits, or is canceled."""
        if self.is_stopping:
            return None
        return forward(
            self._options.target,
            request["headers"],
            request["body"].encode(),
            timeout_seconds=self._listener["timeout_seconds"],
        )

    def _report(self, request: dict[str, Any], forwarded: Forwarded) -> dict[str, Any] | None:
        body = forwarded.as_report() | {
            "delivery_id": request["delivery_id"],
            "claim": request["claim"],
            "target": self._options.target.url,
        }
        ask = partial(self._client.request, "POST", f"{self._path}/attempts", body=body, is_repeatable=True)
        try:
            answer = self._patiently(ask)
        except ApiFailure as failure:
            if failure.status not in (400, 413, 422):
                raise
            self._tell(f"The platform did not take the result of {request['delivery_id']}: {failure}")
            return None
        return answer.body if answer else None

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """Return the answer, however long the platform is away; None once it is time to do something else.

        Begins anew where the listener has ended meanwhile. Raises TakenOver and ApiFailure.
        """
        pause_seconds = self._options.first_pause_seconds
        while True:
            try:
                answer = ask()
            except ApiFailure as failure:
                if failure.code == "listener_taken_over":
                    raise TakenOver from failure
                if failure.code == "listener_ended":
                    return self._begin_anew()
                if failure.status not in AWAY_STATUSES:
                    raise
                self._note_away(failure)
                if self.is_stopping:
                    raise
                asked = min(failure.retry_after, _LONGEST_ASKED_SECONDS)
                self._sleep(max(asked, pause_seconds * random.uniform(0.5, 1)))
                pause_seconds = min(2 * pause_seconds, self._options.longest_pause_seconds)
                continue
            self._note_back()
            return answer

    def _begin_anew(self) -> None:
        self._listener = self._start(with_past=False)
        self._tell("The listener had ended meanwhile; it has begun anew. Replay what it missed.")

    def _note_away(self, failure: ApiFailure) -> None:
        if not self._is_away:
            self._is_away = True
            self._tell(f"{failure} Trying again until that is over; Ctrl-C ends.")

    def _note_back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._tell("Connected again.")

    def _sleep(self, seconds: float) -> None:
        """Pause, no longer than until the user wants to stop."""
        ends_at = time.monotonic() + seconds
        while not self.is_stopping and (left := ends_at - time.monotonic()) > 0:
            time.sleep(min(left, _STOP_LOOK_SECONDS))
