"""The producer client against a server that answers as the API does, and as networks do."""

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from tests.answering_platform import (
    DATA,
    TOKEN,
    Platform,
    accept,
    answer,
    busy,
    refuse,
)
from tests.answering_platform import client as client
from tests.answering_platform import clock as clock
from tests.answering_platform import platform as platform
from webhooks_app import config
from webhooks_app.client import (
    Client,
    Forbidden,
    KeyReused,
    NotFound,
    Rejected,
    SendError,
    Sent,
    Unauthorized,
)

# What is sent


def test_an_accepted_event_returns_its_id_and_deliveries(client: Client) -> None:
    assert client.send("batch-lifecycle", DATA) == Sent(id="evt_1", deliveries=2)


def test_the_request_is_what_the_api_takes(client: Client, platform: Platform) -> None:
    client.send("batch-lifecycle", {"note": "Grüße 🚀"}, idempotency_key="order-17")
    [(path, headers, body)] = platform.requests
    assert path == "/api/v1/events"
    assert json.loads(body) == {"type": "batch-lifecycle", "data": {"note": "Grüße 🚀"}}
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Idempotency-Key"] == "order-17"
    assert headers["User-Agent"].startswith("Avra-Client/")


@pytest.mark.parametrize("suffix", ["/", "/hooks", "/hooks/"])
def test_the_address_may_end_in_a_slash_or_have_a_path(platform: Platform, suffix: str) -> None:
    with Client(platform.url + suffix, TOKEN) as client:
        client.send("batch-lifecycle", DATA)
    assert platform.requests[0][0] == suffix.rstrip("/") + "/api/v1/events"


def test_an_entry_in_netrc_does_not_replace_the_token(
    client: Client, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client.send("batch-lifecycle", DATA)
    assert platform.requests[0][1]["Authorization"] == f"Bearer {TOKEN}"


def test_events_share_a_connection(client: Client, platform: Platform) -> None:
    for _ in range(5):
        client.send("batch-lifecycle", DATA)
    assert len(platform.requests) == 5
    assert len(platform.ports) == 1


def test_decimals_are_sent_as_they_are_written(client: Client, platform: Platform) -> None:
    numbers = ["3.14159265358979323846", "1.10", "-0.0", "1E+400", "1E-400", "12345678901234567890123"]
    client.send("batch-lifecycle", DATA | {"numbers": [Decimal(each) for each in numbers], "text": '"1.10"'})

    [(_, _, body)] = platform.requests
    assert f'"numbers": [{", ".join(numbers)}]' in body.decode()
    assert json.loads(body)["data"]["text"] == '"1.10"'


def test_each_event_gets_a_key_of_its_own(client: Client, platform: Platform) -> None:
    client.send("batch-lifecycle", DATA)
    client.send("batch-lifecycle", DATA)
    assert len(set(platform.keys)) == 2
    assert all(platform.keys)


# Refusals


@pytest.mark.parametrize(
    ("status", "code", "field", "kind"),
    [
        (400, "invalid_json", None, Rejected),
        (401, "unauthorized", None, Unauthorized),
        (403, "forbidden", None, Forbidden),
        (404, "not_found", None, NotFound),
        (409, "idempotency_key_reused", None, KeyReused),
        (413, "too_large", None, Rejected),
        (422, "invalid_data", "data.batch_id", Rejected),
    ],
)
def test_a_refusal_says_why_and_is_not_tried_again(
    client: Client, platform: Platform, status: int, code: str, field: str | None, kind: type[Rejected]
) -> None:
    platform.script = [refuse(status, code, "This is why.", field)]
    with pytest.raises(Rejected) as caught:
        client.send("batch-lifecycle", DATA, idempotency_key="order-17")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.message, error.field) == (status, code, "This is why.", field)
    assert error.idempotency_key == "order-17"
    assert len(platform.requests) == 1


@pytest.mark.parametrize(
    ("message", "field", "said"),
    [
        ("is required", "data.batch_id", "data.batch_id is required (422 invalid)"),
        ("Name a type.", "type", "type: Name a type. (422 invalid)"),
        ("Name a type.", None, "Name a type. (422 invalid)"),
    ],
)
def test_a_refusal_reads_as_a_sentence(message: str, field: str | None, said: str) -> None:
    assert str(Rejected(422, "invalid", message, field)) == said


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"[]", b'{"error": "no"}', b'{"error": {"code": 1}}', b"[" * 100_000],
    ids=["empty", "markup", "no-utf-8", "list", "text", "number", "deep"],
)
def test_a_refusal_without_a_reason_is_still_a_refusal(
    client: Client, platform: Platform, body: bytes
) -> None:
    platform.script = [answer(404, body)]
    with pytest.raises(Rejected) as caught:
        client.send("batch-lifecycle", DATA)
    assert (caught.value.status, caught.value.code, caught.value.field) == (404, "http_404", None)
    assert "is not the platform's API, or a proxy before it refused this; check base_url" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"[]", b"{}", b'{"id": 1, "deliveries": 2}', b'{"id": "evt_1"}'],
    ids=["empty", "markup", "no-utf-8", "list", "object", "number", "half"],
)
def test_a_202_that_is_not_the_apis_is_no_success(client: Client, platform: Platform, body: bytes) -> None:
    platform.script = [answer(202, body)]
    with pytest.raises(SendError, match="202") as caught:
        client.send("batch-lifecycle", DATA)
    assert type(caught.value) is SendError
    assert len(platform.requests) == 1


@pytest.mark.parametrize("status", [200, 204, 501, 505])
def test_any_other_status_is_no_success(client: Client, platform: Platform, status: int) -> None:
    body = b"" if status == 204 else b'{"id": "evt_1", "deliveries": 2}'
    platform.script = [answer(status, body)]
    with pytest.raises(SendError, match=str(status)) as caught:
        client.send("batch-lifecycle", DATA)
    assert type(caught.value) is SendError
    assert len(platform.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(client: Client, platform: Platform, status: int) -> None:
    platform.script = [answer(status, Location=platform.url + "/elsewhere"), accept]
    with pytest.raises(SendError, match=str(status)):
        client.send("batch-lifecycle", DATA)
    assert [path for path, _, _ in platform.requests] == ["/api/v1/events"]


def test_a_body_that_does_not_decompress_is_no_success(client: Client, platform: Platform) -> None:
    platform.script = [answer(202, b"not gzip", Content_Encoding="gzip")]
    with pytest.raises(SendError):
        client.send("batch-lifecycle", DATA)


# What is refused before anything is sent


@pytest.mark.parametrize(
    "url", ["", "webhooks.example.com", "ftp://example.com", "https://", "https://e.com?a=1", "http://[::1"]
)
def test_an_unusable_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Client(url, TOKEN)


@pytest.mark.parametrize("end", ["\n", "\r\nX-More: 1", " ", "\0", "é"])
def test_an_unusable_token_is_refused_and_not_repeated(end: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        Client("https://webhooks.example.com", TOKEN + end)
    assert TOKEN not in str(caught.value)


def test_the_token_of_an_example_is_known_as_such() -> None:
    with pytest.raises(ValueError, match="tok_… of an example: put a token of your own in its place"):
        Client("https://webhooks.example.com", "tok_…")


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "schlüssel", "\0"])
def test_an_unusable_key_is_refused(client: Client, platform: Platform, key: str) -> None:
    with pytest.raises(ValueError, match="idempotency_key"):
        client.send("batch-lifecycle", DATA, idempotency_key=key)
    assert platform.requests == []


@pytest.mark.parametrize(
    ("value", "error"), [(float("nan"), ValueError), ("\ud800", ValueError), (object(), TypeError)]
)
def test_data_that_is_not_json_is_refused(
    client: Client, platform: Platform, value: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        client.send("batch-lifecycle", {"value": value})
    assert platform.requests == []


# Manners


def test_the_token_is_in_no_log_and_no_error(
    client: Client, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    platform.script = [busy, refuse(401, "unauthorized", "This API token is not valid.")]
    with pytest.raises(Unauthorized) as caught:
        client.send("batch-lifecycle", DATA)
    assert caplog.records  # of urllib3
    assert TOKEN not in caplog.text + repr(caught.value) + str(caught.value) + repr(client)


def test_a_session_of_the_callers_own_is_used_and_left_open(platform: Platform) -> None:
    with requests.Session() as session:
        session.headers["X-Team"] = "batches"
        with Client(platform.url, TOKEN, session=session) as client:
            client.send("batch-lifecycle", DATA)
        session.post(platform.url + "/again", data=b"1").close()
        assert [headers["X-Team"] for _, headers, _ in platform.requests] == ["batches", "batches"]
        assert len(platform.ports) == 1  # closing the client would have closed the connection
        assert "Authorization" not in session.headers


def test_threads_share_a_client(client: Client, platform: Platform) -> None:
    with ThreadPoolExecutor(16) as threads:
        sent = [threads.submit(client.send, "batch-lifecycle", DATA) for _ in range(100)]
        assert {each.result().id for each in sent} == {"evt_1"}
    assert len(set(platform.keys)) == 100


FORKED = """
import os, sys
from webhooks_app.client import Client

client = Client(sys.argv[1], "tok_1")
client.send("batch-lifecycle", {})
child = os.fork()
client.send("batch-lifecycle", {})
client.send("batch-lifecycle", {})
if child:
    sys.exit(os.waitpid(child, 0)[1])
"""


def test_a_forked_process_has_connections_of_its_own(platform: Platform) -> None:
    subprocess.run([sys.executable, "-c", FORKED, platform.url], check=True, cwd=config.ROOT, timeout=180)
    assert len(set(platform.keys)) == 5
    assert len(platform.ports) == 2
