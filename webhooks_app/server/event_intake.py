"""The fast path of an ordinary `POST /api/v1/events`: from its body to the group commit, without a thread.

It takes a request that nothing is wrong with and gives the answer that Flask gives to it. Whatever it does
not take (a field that is wrong, a header that is unusual, a token that is not valid) goes to Flask with the
same body, and so does the exception that came of a commit: there is one place that says what was wrong.
"""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from functools import partial

from flask import Flask, jsonify

from webhooks_app.core import json_parsing, passwords
from webhooks_app.core.json_parsing import InvalidJson
from webhooks_app.events.catalog import Catalog
from webhooks_app.events.group_commit import GroupCommit
from webhooks_app.events.pending_submission import UnknownToken
from webhooks_app.events.submissions import Submission, SubmissionResult
from webhooks_app.server.wsgi_bridge import Headers
from webhooks_app.server.wsgi_environ import Scope
from webhooks_app.web.api import event_input, producer, rate_limit_headers
from webhooks_app.web.api.authentication import bearer_token
from webhooks_app.web.api.errors import ApiError
from webhooks_app.web.middleware import logged_ids

_PATH = "/api/v1/events"
# The event loop parses and checks what is as small as nearly all events are; more would keep others waiting.
_LARGEST_BYTES = 16 * 1024
_ORDINARY_HEADERS = frozenset(
    {
        *(b"accept", b"accept-encoding", b"accept-language", b"authorization", b"connection"),
        *(b"content-length", b"content-type", b"host", b"idempotency-key", b"user-agent"),
    }
)
# What proxies add. It says who the client is and how it came, upon which no answer to an event depends.
_PROXY_HEADERS = frozenset(
    {
        *(b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port"),
        *(b"x-forwarded-prefix", b"x-forwarded-proto", b"x-real-ip", b"x-request-id"),
    }
)
_REPLAYED = ((producer.REPLAYED_HEADER.lower().encode(), b"true"),)
# As clients spell it; what is spelt otherwise, Flask reads.
_JSON_TYPES = frozenset({"", "application/json", "application/json; charset=utf-8"})


class EventIntake:
    """One per process; `headers` are those of Flask's answers to the API, but for the length.

    `path_prefix` is that of the settings, which a proxy may have left on the path. `is_behind_proxies` says
    that the settings know of some; Flask warns of those that they do not know of.
    """

    def __init__(
        self,
        group_commit: GroupCommit,
        catalog: Catalog,
        *,
        headers: Headers,
        path_prefix: str = "",
        is_behind_proxies: bool = False,
    ) -> None:
        self._group_commit = group_commit
        self._catalog = catalog
        self._ordinary = _ORDINARY_HEADERS | (_PROXY_HEADERS if is_behind_proxies else frozenset())
        self._paths = frozenset({_PATH, path_prefix + _PATH})
        self._headers = headers
        self._outcomes: _Outcomes | None = None

    def takes(self, scope: Scope) -> bool:
        """Return whether a request may take the fast path, judged by its method, path and query."""
        return scope["path"] in self._paths and scope["method"] == "POST" and not scope["query_string"]

    async def accept(self, scope: Scope, body: bytes) -> tuple[Headers, bytes] | Exception | None:
        """Return the headers and the body of the answer 202, or None for what is Flask's to answer.

        An exception is what became of the submission; Flask has the words for it.
        """
        try:
            token_hash, submission = _submission(self._catalog, _headers(scope, self._ordinary), body)
        except (ApiError, InvalidJson, _Unusual):
            return None
        outcome = await self._commit(submission, token_hash)
        if isinstance(outcome, Exception):
            return None if isinstance(outcome, UnknownToken) else outcome
        [accepted] = outcome
        if (noted := scope["state"].get(logged_ids.KEY)) is not None:
            noted.update(logged_ids.of_events([accepted.id], is_batch=False))
        answer = json.dumps(producer.accepted_json(accepted), separators=(",", ":"), sort_keys=True)
        content = answer.encode() + b"\n"
        headers = [*self._headers, (b"content-length", b"%d" % len(content))]
        if accepted.is_repeat:
            headers += _REPLAYED
        if (allowance := self._group_commit.allowances.allowance_of(token_hash)) is not None:
            headers += _encoded(rate_limit_headers.rate_limit_headers(allowance))
        return headers, content

    async def _commit(self, submission: Submission, token_hash: str) -> SubmissionResult:
        loop = asyncio.get_running_loop()
        self._outcomes = self._outcomes or _Outcomes(loop)
        future: asyncio.Future[SubmissionResult] = loop.create_future()
        self._group_commit.submit(submission, partial(self._outcomes.put, future), token_hash=token_hash)
        return await future


def _encoded(headers: Mapping[str, str]) -> Headers:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


class _Unusual(Exception):
    """Something about the request is for Flask to judge."""


def _submission(catalog: Catalog, headers: dict[bytes, str], body: bytes) -> tuple[str, Submission]:
    """Return the token's hash and what is submitted. Raises ApiError, InvalidJson and _Unusual."""
    if len(body) > _LARGEST_BYTES:
        raise _Unusual
    if headers.get(b"content-type", "").lower() not in _JSON_TYPES:
        raise _Unusual
    token = bearer_token(headers.get(b"authorization", ""))
    key = headers.get(b"idempotency-key")
    if token is None or (key is not None and not event_input.is_idempotency_key(key)):
        raise _Unusual
    parsed = json_parsing.parse(body)
    if not event_input.has_known_type(catalog, parsed):
        raise _Unusual
    event = event_input.new_event(catalog, parsed, body)
    return passwords.hash_token(token), Submission("", [event], key)


def _headers(scope: Scope, ordinary: frozenset[bytes]) -> dict[bytes, str]:
    """Return the headers; each is an ordinary one and comes once. Raises _Unusual."""
    headers: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name not in ordinary or name in headers:
            raise _Unusual
        headers[name] = value.decode("latin-1")
    return headers


class _Outcomes:
    """Brings outcomes from the committing thread to the event loop, with one call for all of a group."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived: deque[tuple[asyncio.Future[SubmissionResult], SubmissionResult]] = deque()
        self._is_called = False

    def put(self, future: "asyncio.Future[SubmissionResult]", outcome: SubmissionResult) -> None:
        self._arrived.append((future, outcome))
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        self._is_called = False  # before the first is taken, so that none that comes later is missed
        while self._arrived:
            future, outcome = self._arrived.popleft()
            if not future.done():
                future.set_result(outcome)


def answer_headers(app: Flask) -> Headers:
    """Return the headers with which the Flask application answers 202, but for the length."""
    with app.test_request_context(_PATH, method="POST"):
        response = app.process_response(jsonify({}))
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers
        if name.lower() != "content-length"
    ]
