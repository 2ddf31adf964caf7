"""The fast path of an event: the same answers as Flask's, and nothing that is not ordinary goes it."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import Connection, event, select
from sqlalchemy.exc import OperationalError

from tests.conftest import TESTER, Workspace
from tests.events import token_clock
from tests.server.running_server import serving
from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.db.models import Event
from webhooks_app.extensions import db, services
from webhooks_app.server.event_intake import EventIntake, answer_headers

DATA = {"batch_id": "b1", "status": "queued"}
BODY = {"type": "batch-lifecycle", "data": DATA}
# Told apart by what each answer has of its own.
_OWN_HEADERS = {"date", "content-length", "x-request-id"}


class CountingIntake(EventIntake):
    accepted = 0

    async def accept(self, *arguments: Any) -> Any:
        answer = await super().accept(*arguments)
        self.accepted += isinstance(answer, tuple)
        return answer


@dataclass
class Api:
    url: str
    token: str
    intake: CountingIntake

    def post(self, body: bytes | object, **headers: str) -> requests.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        standard = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return requests.post(self.url, data=raw, headers=standard | named, timeout=30)


@pytest.fixture
def api(app: Flask, workspace: Workspace) -> Iterator[Api]:
    intake = CountingIntake(services(app).group_commit, services(app).catalog, headers=answer_headers(app))
    with serving(app, intake=intake) as server:
        yield Api(f"http://127.0.0.1:{server.port}/api/v1/events", workspace.token, intake)


def described(response: requests.Response) -> tuple[int, dict[str, str], Any]:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return response.status_code, {n: v for n, v in headers.items() if n not in _OWN_HEADERS}, response.json()


def test_an_ordinary_event_is_answered_as_flask_answers(api: Api, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    short = api.post(BODY)
    long = api.post(BODY, X_Unusual="1")
    assert api.intake.accepted == 1
    (status, headers, answer), expected = described(short), described(long)
    assert (status, headers, answer["deliveries"]) == (202, expected[1], 1)
    assert answer.keys() == expected[2].keys()
    assert short.text.replace(answer["id"], "") == long.text.replace(expected[2]["id"], "")
    db.session.rollback()
    assert set(db.session.scalars(select(Event.id))) == {answer["id"], expected[2]["id"]}


@pytest.mark.parametrize("path", ["/api/v1/events", "/tools/hooks/api/v1/events"])
def test_an_event_goes_the_short_way_with_the_prefix_and_without(
    app: Flask, workspace: Workspace, path: str
) -> None:
    intake = CountingIntake(
        services(app).group_commit,
        services(app).catalog,
        headers=answer_headers(app),
        path_prefix="/tools/hooks",
    )
    with serving(app, intake=intake) as server:
        api = Api(f"http://127.0.0.1:{server.port}{path}", workspace.token, intake)
        assert api.post(BODY).status_code == 202
    assert intake.accepted == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_what_known_proxies_add_keeps_no_event_from_the_short_way(
    app: Flask, workspace: Workspace, is_known: bool
) -> None:
    intake = CountingIntake(
        services(app).group_commit,
        services(app).catalog,
        headers=answer_headers(app),
        is_behind_proxies=is_known,
    )
    with serving(app, intake=intake) as server:
        api = Api(f"http://127.0.0.1:{server.port}/api/v1/events", workspace.token, intake)
        answer = api.post(BODY, X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="https", Via="1.1 a")
        assert answer.status_code == 202
    assert intake.accepted == is_known


def test_a_repeat_under_its_key_is_the_same_event_on_either_way(api: Api) -> None:
    answers = [
        api.post(BODY, Idempotency_Key="key"),
        api.post(BODY, Idempotency_Key="key"),
        api.post(BODY, Idempotency_Key="key", X_Unusual="1"),
    ]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert api.intake.accepted == 2


def test_a_rate_limit_is_answered_alike_on_either_way(
    app: Flask, api: Api, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_clock.hand_in(monkeypatch)
    api.token = api_tokens.create(
        services(app).write, workspace.id, "limited", rate_per_second=1, burst=3, actor=TESTER
    )
    answers = [api.post(BODY), api.post(BODY, X_Unusual="1"), api.post(BODY), api.post(BODY)]
    refused = [answers.pop(), api.post(BODY, X_Unusual="1")]
    assert api.intake.accepted == 2
    assert [each.status_code for each in answers + refused] == [202] * 3 + [429] * 2
    short, long, _ = (described(each)[1].keys() for each in answers)
    assert short == long
    assert [each.headers["RateLimit"][:12] for each in answers] == [
        f'"events";r={left}' for left in (2, 1, 0)
    ]
    assert {each.headers["RateLimit-Policy"] for each in answers + refused} == {
        '"events";q=3;w=3;qu="events"'
    }
    assert [each.headers["Retry-After"] for each in refused] == ["1", "1"]
    assert described(refused[0]) == described(refused[1])


def test_another_event_under_a_used_key_is_409(api: Api) -> None:
    api.post(BODY, Idempotency_Key="key")
    other = BODY | {"data": {"batch_id": "b2", "status": "queued"}}
    answers = [api.post(other, Idempotency_Key="key"), api.post(other, Idempotency_Key="key", X_Unusual="1")]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert described(answers[0]) == described(answers[1])


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (BODY, {"Authorization": "Bearer tok_of_nobody"}, 401),
        (BODY, {"Authorization": "Basic eDp5"}, 401),
        (b"{", {}, 400),
        (b'{"type": "batch-lifecycle", "type": "batch-lifecycle", "data": {}}', {}, 400),
        (b"[]", {}, 422),
        (BODY | {"type": "no-such"}, {}, 422),
        (BODY | {"more": 1}, {}, 422),
        (BODY | {"data": {"batch_id": 1}}, {}, 422),
        (BODY, {"Idempotency_Key": "x" * 256}, 400),
        (b"x" * 300_000, {}, 413),
        (BODY | {"data": DATA | {"text": "y" * 300_000}}, {}, 413),
        (BODY, {"Content_Encoding": "gzip"}, 415),
        (BODY, {"Content_Type": "text/plain"}, 415),
    ],
)
def test_what_is_wrong_is_said_by_flask(
    api: Api, body: bytes | object, headers: dict[str, str], status: int
) -> None:
    short, long = api.post(body, **headers), api.post(body, **headers, X_Unusual="1")
    assert api.intake.accepted == 0
    assert short.status_code == status
    assert described(short) == described(long)
    db.session.rollback()
    assert db.session.scalars(select(Event.id)).all() == []


@pytest.mark.parametrize(
    "more",
    [
        b'  "n": 3.14159265358979323846',
        b' "n": 1e-400 , "text":"\\u00fc \xc3\xbc"',
        pytest.param(b'"text": "%s"' % (b"y" * 50_000), id="large"),
    ],
)
def test_data_arrives_as_it_was_written(api: Api, more: bytes) -> None:
    data = b'{"batch_id": "b1",%s, "status": "queued"}' % more
    answer = api.post(b'{"data": %s, "type": "batch-lifecycle"}' % data)
    assert answer.status_code == 202, answer.text
    db.session.rollback()
    assert db.session.get_one(Event, answer.json()["id"]).body.endswith(b'"data":%s}' % data)


def test_a_database_that_cannot_serve_is_503_with_retry_after(app: Flask, api: Api) -> None:
    tries: list[None] = []
    driver_error = db.engine.dialect.loaded_dbapi.OperationalError("no answer")

    def fail(_connection: Connection) -> None:
        tries.append(None)
        raise OperationalError("BEGIN", None, driver_error)

    for _ in range(2):  # the first use of the token is recorded before the second event is committed
        assert api.post(BODY).status_code == 202
    event.listen(db.engine, "begin", fail)
    try:
        answer = api.post(BODY)
    finally:
        event.remove(db.engine, "begin", fail)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json()["error"]["code"] == "unavailable"
    assert len(tries) == 1
    assert api.post(BODY).status_code == 202


def test_a_token_that_may_not_send_is_told_so_on_either_way(
    api: Api, workspace: Workspace, app: Flask
) -> None:
    scopes = set(TokenScope) - {TokenScope.EVENTS_SEND}
    token = api_tokens.create(services(app).write, workspace.id, "reader", scopes=scopes, actor=TESTER)
    answers = [
        api.post(BODY, Authorization=f"Bearer {token}"),
        api.post(BODY, Authorization=f"Bearer {token}", X_Unusual="1"),
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert described(answers[0]) == described(answers[1])
    assert api.intake.accepted == 0


@pytest.mark.parametrize("second", ["key-2", "key-1"])
def test_two_idempotency_keys_are_400(api: Api, second: str) -> None:
    with socket.create_connection(("127.0.0.1", int(api.url.split(":")[2].split("/")[0])), 30) as connection:
        body = json.dumps(BODY).encode()
        head = (
            f"POST /api/v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {api.token}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n"
            f"Idempotency-Key: key-1\r\nIdempotency-Key: {second}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.1 400 ")
    assert '"invalid_idempotency_key"' in answer
    db.session.rollback()
    assert db.session.scalars(select(Event.id)).all() == []


def test_a_key_with_a_comma_is_one_key(api: Api) -> None:
    assert api.post(BODY, Idempotency_Key="a,b").status_code == 202
    assert api.post(BODY, Idempotency_Key="a,b", X_Unusual="1").status_code == 202
    db.session.rollback()
    assert len(db.session.scalars(select(Event.id)).all()) == 1
