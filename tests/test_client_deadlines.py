"""Both clients of the API against answers that come byte by byte, as from a proxy in trouble, without end."""

import socketserver
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Thread

import pytest
import requests

from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.api_client import ApiClient, ClientLimits
from webhooks_app.cli.profiles import Profile
from webhooks_app.client import (
    LARGEST_ANSWER_BYTES,
    Client,
    DeadlineAdapter,
    SendError,
    Unavailable,
    answered_within,
)

DATA = {"batch_id": "batch_1", "status": "succeeded"}
SECONDS = 0.5  # for an answer; each of its reads may take a minute
HEAD = b"HTTP/1.1 202 Accepted\r\n"

DRIPS = {
    "status line": (b"", b"H"),
    "head": (HEAD + b"X: ", b"a"),
    "many headers": (HEAD, b"X: a\r\n"),
    "100-continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "until it closes": (HEAD + b"\r\n", b" "),
}


class DrippingServer(socketserver.ThreadingTCPServer):
    """Answers whatever comes with `beginning`, and then `piece` again and again."""

    daemon_threads = True
    beginning = piece = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), DrippingHandler)
        self.is_closing = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class DrippingHandler(socketserver.BaseRequestHandler):
    server: DrippingServer

    def handle(self) -> None:
        self.request.recv(65536)
        with suppress(OSError):
            self.request.sendall(self.server.beginning)
            while not self.server.is_closing.wait(0.02):
                self.request.sendall(self.server.piece)


@pytest.fixture(params=DRIPS.values(), ids=list(DRIPS))
def dripping(request: pytest.FixtureRequest) -> Iterator[DrippingServer]:
    with DrippingServer() as server:
        server.beginning, server.piece = request.param
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.is_closing.set()
        server.shutdown()
        thread.join()


def send(url: str) -> None:
    with Client(url, "tok_x", timeout=(60, 60), deadline_seconds=SECONDS) as client:
        client.send("batch-lifecycle", DATA)


def command(url: str) -> None:
    limits = ClientLimits(connect_seconds=60, read_seconds=60, answer_seconds=SECONDS, tries=1)
    with ApiClient(Profile("test", url, "tok_x"), limits) as client:
        client.request("GET", "/endpoints")


@pytest.mark.parametrize(("ask", "error"), [(send, Unavailable), (command, ApiFailure)])
def test_an_answer_that_never_ends_is_given_up_at_the_deadline(
    dripping: DrippingServer, ask: Callable[[str], None], error: type[Exception]
) -> None:
    began = time.monotonic()
    with pytest.raises(error, match="it took too long"):
        ask(dripping.url)
    assert SECONDS <= time.monotonic() - began < 30


@pytest.mark.parametrize("dripping", [(b"HTTP/1.1 200 OK\r\nX: ", b"a")], indirect=True)
def test_a_proxy_that_never_lets_through_is_given_up_too(
    dripping: DrippingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", dripping.url)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        send("https://webhooks.example.com")
    assert SECONDS <= time.monotonic() - began < 30


@pytest.mark.parametrize("dripping", [DRIPS["body"]], indirect=True, ids=["body"])
def test_a_session_of_ones_own_keeps_the_deadline_with_the_adapter(dripping: DrippingServer) -> None:
    with requests.Session() as session:
        session.mount("http://", DeadlineAdapter())
        client = Client(dripping.url, "tok_x", session=session, timeout=(60, 60), deadline_seconds=SECONDS)
        with pytest.raises(Unavailable):
            client.send("batch-lifecycle", DATA)
        with answered_within(SECONDS), pytest.raises(requests.RequestException):
            session.get(dripping.url)


@pytest.mark.parametrize(
    "dripping", [(HEAD + b"\r\n", b"x" * (LARGEST_ANSWER_BYTES // 4))], indirect=True, ids=["large pieces"]
)
def test_an_answer_that_would_fill_the_memory_is_not_the_platforms(dripping: DrippingServer) -> None:
    too_large = pytest.raises(SendError, match=f"more than {LARGEST_ANSWER_BYTES:,} bytes; check base_url")
    with Client(dripping.url, "tok_x", timeout=(60, 60)) as client, too_large as raised:
        client.send("batch-lifecycle", DATA)
    assert raised.value.may_be_accepted

    limits = ClientLimits(answer_bytes=8 * 1024 * 1024)
    said = f"more than 8,388,608 bytes, more than a command reads: is {dripping.url} the platform's URL?"
    with (
        ApiClient(Profile("test", dripping.url, "tok_x"), limits) as api,
        pytest.raises(ApiFailure) as failed,
    ):
        api.request("GET", "/endpoints")
    assert str(failed.value) == f"The answer has {said}"
    assert (failed.value.status, api.requests_sent) == (202, 1)
