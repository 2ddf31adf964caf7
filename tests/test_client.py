"""The producer client against a server that answers as the API does, and as networks do."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import requests

from tests.free_ports import free_port
from webhooks_app import client as client_module
from webhooks_app import config
from webhooks_app.client import (
    TRIES,
    Client,
    Forbidden,
    KeyReused,
    NotFound,
    Rejected,
    SendError,
    Sent,
    Unauthorized,
    Unavailable,
)

TOKEN = "tok_of-a-test-0123456789abcdef"
DATA = {"batch_id": "batch_1", "status": "succeeded"}

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Notes each request, then answers as the next entry of the server's script says; the last one stays."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Platform"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.server.ports.add(self.client_address[1])
        script = self.server.script
        (script.pop(0) if len(script) > 1 else script[0])(self)

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers), b""))
        answer(200)(self)

    def log_message(self, format: str, *args: object) -> None:
        return


class Platform(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Answer] = [accept]
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.ports: set[int] = set()
        self.is_closing = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for _, headers, _ in self.requests]


def answer(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def write(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return write


def refuse(status: int, code: str, message: str, field: str | None = None) -> Answer:
    return answer(status, {"error": {"code": code, "message": message, "field": field}})


def hang(handler: Handler) -> None:
    handler.server.is_closing.wait(60)
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def hang_up_midway(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{")
    handler.close_connection = True


def speak_no_http(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-server\r\n\r\n")
    handler.close_connection = True


accept = answer(202, {"id": "evt_1", "deliveries": 2})
busy = answer(503, {"error": {"code": "unavailable", "message": "Later.", "field": None}})


@pytest.fixture
def platform() -> Iterator[Platform]:
    server = Platform()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.002})
    thread.start()
    yield server
    server.is_closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SECONDS", 0.02)


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    with Client(platform.url, TOKEN) as client:
        yield client


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


# Trying again


@pytest.mark.parametrize(
    "trouble",
    [
        *(answer(status) for status in (408, 425, 500, 502, 504, 507, 520)),
        *(busy, answer(429, Retry_After="0"), hang_up, hang_up_midway, speak_no_http),
    ],
    ids=[
        "408",
        "425",
        "500",
        "502",
        "504",
        "507",
        "520",
        "503",
        "429",
        "hang-up",
        "hang-up-midway",
        "no-http",
    ],
)
def test_trouble_that_passes_is_tried_again_as_the_same_event(
    client: Client, platform: Platform, trouble: Answer
) -> None:
    platform.script = [trouble, accept]
    assert client.send("batch-lifecycle", DATA).id == "evt_1"
    first, second = platform.requests
    assert first[1]["Idempotency-Key"] == second[1]["Idempotency-Key"]
    assert first[2] == second[2]


def test_trouble_that_stays_ends_after_a_few_tries(client: Client, platform: Platform) -> None:
    came_at: list[float] = []

    def note_and_refuse(handler: Handler) -> None:
        came_at.append(time.monotonic())
        busy(handler)

    platform.script = [note_and_refuse]
    with pytest.raises(Unavailable, match="503") as caught:
        client.send("batch-lifecycle", DATA)
    assert caught.value.status == 503
    assert len(came_at) == TRIES
    pauses = [later - earlier for earlier, later in pairwise(came_at)]
    assert all(pause >= 0.01 * 2**turn for turn, pause in enumerate(pauses)), "they grow"


def test_a_connection_that_the_platform_closed_meanwhile_is_replaced(
    client: Client, platform: Platform
) -> None:
    def accept_and_leave(handler: Handler) -> None:
        accept(handler)
        handler.close_connection = True

    platform.script = [accept_and_leave]
    for _ in range(3):
        client.send("batch-lifecycle", DATA)
    assert len(set(platform.keys)) == 3


def test_retry_after_is_waited_for(client: Client, platform: Platform) -> None:
    platform.script = [answer(429, Retry_After="1"), accept]
    started_at = time.monotonic()
    client.send("batch-lifecycle", DATA)
    assert 0.95 <= time.monotonic() - started_at < 30


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_past_the_deadline_is_left_to_the_caller(
    client: Client, platform: Platform, status: int
) -> None:
    platform.script = [answer(status, Retry_After="60")]
    started_at = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        client.send("batch-lifecycle", DATA)
    assert caught.value.retry_after == 60
    assert len(platform.requests) == 1
    assert time.monotonic() - started_at < 30


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("9" * 400, 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00", 0),
        ("7", 7),
    ],
)
def test_any_retry_after_is_understood_or_ignored(
    platform: Platform, value: str, seconds: float | None
) -> None:
    platform.script = [answer(429, Retry_After=value)]
    with Client(platform.url, TOKEN, deadline_seconds=5) as client, pytest.raises(Unavailable) as caught:
        client.send("batch-lifecycle", DATA)
    assert caught.value.retry_after == seconds


def test_a_retry_after_may_be_a_date(client: Client, platform: Platform) -> None:
    asked = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    platform.script = [answer(503, Retry_After=asked)]
    with pytest.raises(Unavailable) as caught:
        client.send("batch-lifecycle", DATA)
    assert caught.value.retry_after == pytest.approx(3600, abs=5)


def test_a_platform_that_hangs_is_given_up_after_the_timeout(platform: Platform) -> None:
    platform.script = [hang, accept]
    started_at = time.monotonic()
    with Client(platform.url, TOKEN, timeout=(5, 0.5)) as client:
        assert client.send("batch-lifecycle", DATA).id == "evt_1"
    assert 0.5 <= time.monotonic() - started_at < 30


def test_all_tries_together_end_at_the_deadline(platform: Platform) -> None:
    platform.script = [hang]
    started_at = time.monotonic()
    with (
        Client(platform.url, TOKEN, timeout=(60, 60), deadline_seconds=0.3) as client,
        pytest.raises(Unavailable, match="ReadTimeout"),
    ):
        client.send("batch-lifecycle", DATA)
    assert time.monotonic() - started_at < 30


def test_https_where_http_is_spoken_is_said(platform: Platform) -> None:
    with (
        Client(platform.url.replace("http:", "https:"), TOKEN, deadline_seconds=0.3) as client,
        pytest.raises(Unavailable, match=r"Is it http://\?$"),
    ):
        client.send("batch-lifecycle", DATA)


def test_a_refused_connection_is_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, TOKEN, deadline_seconds=0.3) as client:
        with pytest.raises(Unavailable, match="ConnectionError") as caught:
            client.send("batch-lifecycle", DATA)
        assert (caught.value.status, caught.value.retry_after) == (0, None)
        assert not caught.value.may_be_accepted


def test_a_failure_names_the_key_with_which_to_send_again(client: Client, platform: Platform) -> None:
    platform.script = [answer(429, Retry_After="60"), accept]
    with pytest.raises(Unavailable) as caught:
        client.send("batch-lifecycle", DATA)
    client.send("batch-lifecycle", DATA, idempotency_key=caught.value.idempotency_key)
    assert platform.keys[0] == platform.keys[1]


@pytest.mark.parametrize(
    ("script", "may_be_accepted"),
    [
        ([hang_up], True),
        ([answer(503, Retry_After="60")], True),
        ([answer(429, Retry_After="60")], False),
        ([refuse(422, "invalid_data", "This is why.", "data.batch_id")], False),
        ([hang_up, refuse(401, "unauthorized", "It was revoked meanwhile.")], True),
        ([answer(202, b"<html>")], True),
    ],
    ids=["no-answer", "503", "429", "422", "no-answer-then-401", "another-202"],
)
def test_a_failure_says_whether_the_event_may_be_accepted_all_the_same(
    client: Client, platform: Platform, script: list[Answer], may_be_accepted: bool
) -> None:
    platform.script = script
    with pytest.raises(SendError) as caught:
        client.send("batch-lifecycle", DATA)
    assert caught.value.may_be_accepted is may_be_accepted


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
    subprocess.run([sys.executable, "-c", FORKED, platform.url], check=True, cwd=config.ROOT, timeout=60)
    assert len(set(platform.keys)) == 5
    assert len(platform.ports) == 2
