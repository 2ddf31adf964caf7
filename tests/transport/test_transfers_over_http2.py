"""Send over HTTP/2 to a real server over TLS: many at once on one connection, and what goes wrong."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from h2.events import RequestReceived

from tests.transport.certificates import Authority
from tests.transport.http2_server import (
    DATA,
    GOAWAY,
    PADDED,
    REFUSED_STREAM,
    RST_STREAM,
    WINDOW_UPDATE,
    React,
    Streams,
    frame,
    multiplexing,
    offering_http2,
)
from tests.transport.scripted_server import OK, Connection, Server, answering
from tests.transport.sending import ALWAYS_ASKS, HEADERS, DnsAnswers, collect, new_sender, send, wait_until
from webhooks_app.core.outcomes import Outcome
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.sender_limits import ConnectionLimits, SenderLimits


@pytest.fixture
def sender(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: [entry])
    made = new_sender(ca_bundle=str(authority.path))
    yield made
    made.close()


Serve = Callable[[React], Server]


@pytest.fixture
def serve(authority: Authority) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(react: React) -> Server:
            context = offering_http2(authority.context("hooks.test"))
            return stack.enter_context(Server(multiplexing(react), tls=context))

        yield start


def url_of(server: Server) -> str:
    return server.url_for("hooks.test")


def start(sender: Sender, server: Server, *keys: object, path: str = "") -> None:
    for key in keys:
        sender.start(key, Request(url_of(server) + path, HEADERS, b"{}", 60_000))


def is_delivered(outcome: Outcome) -> bool:
    return outcome.is_success and outcome.response_body == b"ok"


def test_many_requests_share_one_connection(sender: Sender, serve: Serve) -> None:
    waiting: list[int] = []

    def answers_eighty_together(streams: Streams, stream: int) -> None:
        waiting.append(stream)
        if stream == 1 or len(waiting) == 80:
            while waiting:
                streams.answer(waiting.pop())

    server = serve(answers_eighty_together)
    first = send(sender, url_of(server))
    assert first.response_headers.startswith(b"HTTP/2 200")
    for _ in range(5):  # with luck, one round does not show what libcurl forgets that it has read
        start(sender, server, *range(80))
        assert not [each for each in collect(sender, 80).values() if not is_delivered(each)]
    assert (server.accepted, len(server.requests)) == (1, 401)


@pytest.mark.parametrize("is_old", [False, True], ids=["moves", "is too old"])
def test_a_connection_that_is_never_idle_is_left_when_it_no_longer_serves(
    authority: Authority, dns_answers: DnsAnswers, is_old: bool
) -> None:
    def answers_all_but_one(streams: Streams, stream: int) -> None:
        if not streams.connection.server.requests[-1].endswith(b"/held"):
            streams.answer(stream)

    context = offering_http2(authority.context("hooks.test"))
    limits = SenderLimits(
        resolver=ALWAYS_ASKS,
        connections=ConnectionLimits(longest_seconds=0.0 if is_old else 300.0),
    )
    sender = new_sender(ca_bundle=str(authority.path), limits=limits)
    with (
        Server(multiplexing(answers_all_but_one), tls=context) as former,
        Server(multiplexing(answers_all_but_one), "::1", port=former.port, tls=context) as later,
    ):
        dns_answers["hooks.test"] = [["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1"] if is_old else ["::1"]]
        assert is_delivered(send(sender, url_of(former)))
        start(sender, former, "held", path="/held")
        wait_until(lambda: sender.poll(10) == [] and len(former.requests) == 2)
        assert [is_delivered(send(sender, url_of(former))) for _ in range(2)] == [True] * 2
        assert (former.accepted, later.accepted) == ((4, 0) if is_old else (1, 1))
        assert sender.in_flight == 1
        sender.close()


def test_a_server_that_leaves_after_each_answer_gets_each_request_on_a_new_connection(
    sender: Sender, serve: Serve
) -> None:
    def leaves(streams: Streams, stream: int) -> None:
        if stream == 1:
            streams.answer(stream)
            streams.send_frame(GOAWAY, 0, 0, struct.pack("!II", stream, 0))

    server = serve(leaves)
    assert [is_delivered(send(sender, url_of(server))) for _ in range(3)] == [True] * 3
    assert server.accepted == 3


@pytest.mark.parametrize("kind", [GOAWAY, RST_STREAM], ids=["goaway", "refused stream"])
def test_what_the_server_says_it_did_not_process_is_sent_again(
    sender: Sender, serve: Serve, kind: int
) -> None:
    def refuses_the_second(streams: Streams, stream: int) -> None:
        if stream == 1:
            streams.answer(stream)
        elif kind == GOAWAY:
            streams.send_frame(GOAWAY, 0, 0, struct.pack("!II", 1, 0))
        else:
            streams.send_frame(RST_STREAM, 0, stream, struct.pack("!I", REFUSED_STREAM))

    server = serve(refuses_the_second)
    assert [is_delivered(send(sender, url_of(server))) for _ in range(2)] == [True] * 2
    assert (server.accepted, len(server.requests)) == (2, 3)


def answering_early(*, ends_stream: bool, error: int, closes: bool) -> Callable[[Connection], None]:
    """Answer each request by its head, and have no more of its body."""

    def script(connection: Connection) -> None:
        streams = Streams(connection)
        streams.flush()
        while data := connection.sock.recv(65536):
            for event in streams.protocol.receive_data(data):
                if isinstance(event, RequestReceived):
                    stream = event.stream_id
                    streams.protocol.send_headers(stream, [(":status", "200")])
                    streams.protocol.send_data(stream, b"ok", end_stream=ends_stream)
                    answer = streams.protocol.data_to_send()
                    connection.send(answer + frame(RST_STREAM, 0, stream, struct.pack("!I", error)))
                    if not ends_stream:
                        streams.protocol.reset_stream(stream)
                        streams.protocol.data_to_send()
                    if closes:
                        return
            streams.flush()

    return script


@pytest.mark.parametrize("closes", [False, True], ids=["kept", "closed"])
@pytest.mark.parametrize(
    ("ends_stream", "error"), [(True, 0), (False, 0), (True, 8), (False, 11)], ids=lambda value: str(value)
)
def test_an_early_answer_counts_although_its_stream_is_reset(
    sender: Sender, authority: Authority, ends_stream: bool, error: int, closes: bool
) -> None:
    script = answering_early(ends_stream=ends_stream, error=error, closes=closes)
    with Server(script, tls=offering_http2(authority.context("hooks.test"))) as server:
        outcomes = [send(sender, url_of(server), body=b"x" * size) for size in (2, 70_000, 250_000) * 30]
    kinds = [each.kind for each in outcomes]
    if closes:
        # A system resets a connection that is closed upon what nobody has read, and the reset may overtake
        # the answer (RFC 9112, section 9.6).
        assert set(kinds) <= {"success", "connection_lost"}
        return
    assert kinds == ["success"] * 90
    if ends_stream and not error:
        assert {each.detail for each in outcomes} == {""}


def test_a_server_that_wants_calm_is_said_to(sender: Sender, serve: Serve) -> None:
    def wants_calm(streams: Streams, stream: int) -> None:
        streams.send_frame(RST_STREAM, 0, stream, struct.pack("!I", 11))

    outcome = send(sender, url_of(serve(wants_calm)))
    assert outcome.kind == "connection_lost"
    assert outcome.detail.startswith("The server asks for fewer requests.")


def test_a_server_that_refuses_each_stream_is_said_to(sender: Sender, serve: Serve) -> None:
    def refuses(streams: Streams, stream: int) -> None:
        streams.send_frame(RST_STREAM, 0, stream, struct.pack("!I", REFUSED_STREAM))

    server = serve(refuses)
    outcome = send(sender, url_of(server))
    assert outcome.kind == "connection_lost"
    assert outcome.detail.startswith("The server refused the request, or closed the connection, again and")
    assert len(server.requests) == 6


def test_a_reset_stream_is_lost_alone(sender: Sender, serve: Serve) -> None:
    def resets_one(streams: Streams, stream: int) -> None:
        if streams.connection.server.requests[-1].endswith(b"/reset"):
            streams.send_frame(RST_STREAM, 0, stream, struct.pack("!I", 2))
            for each in streams.open[1:-1]:
                streams.answer(each)
        elif stream == 1 or "reset" in sender_saw:
            streams.answer(stream)

    sender_saw: list[str] = []
    server = serve(resets_one)
    assert is_delivered(send(sender, url_of(server)))
    start(sender, server, 1, 2)
    wait_until(lambda: sender.poll(10) == [] and len(server.requests) == 3)
    start(sender, server, "lost", path="/reset")
    outcomes = collect(sender, 3)
    sender_saw.append("reset")
    assert (outcomes["lost"].kind, outcomes["lost"].status) == ("connection_lost", 0)
    assert outcomes["lost"].detail.startswith("The server ended this request without a complete response.")
    assert is_delivered(outcomes[1]) and is_delivered(outcomes[2])
    assert is_delivered(send(sender, url_of(server)))
    assert server.accepted == 1


def test_a_flood_of_padding_is_cut_off_early_with_all_on_its_connection(sender: Sender, serve: Serve) -> None:
    def pads(streams: Streams, stream: int) -> None:
        if stream == 1:
            streams.answer(stream)
        elif len(streams.open) == 4:
            streams.start(stream)
            while True:
                streams.send_frame(DATA, PADDED, stream, b"\xff" + bytes(255), times=50)

    flooding = serve(pads)
    assert is_delivered(send(sender, url_of(flooding)))
    start(sender, flooding, *range(3))
    with Server(answering(OK)) as other:
        start(sender, other, "other")
        outcomes = collect(sender, 4)
        assert is_delivered(outcomes.pop("other"))
    assert sorted(each.kind for each in outcomes.values()) == ["invalid_response"] * 2 + ["success"]
    assert all("Over 1 MiB came in" in each.detail for each in outcomes.values())
    wait_until(lambda: flooding.closed == 1)
    assert is_delivered(send(sender, url_of(flooding)))


def test_many_answers_on_one_busy_connection_are_no_flood(sender: Sender, serve: Serve) -> None:
    def answers_all_but_the_second(streams: Streams, stream: int) -> None:
        if stream != 3:
            streams.answer(stream, body=b"y" * 16_000)

    server = serve(answers_all_but_the_second)
    send(sender, url_of(server))
    start(sender, server, "waiting")
    for turn in range(20):
        start(sender, server, *((turn, number) for number in range(5)))
        assert all(each.is_success for each in collect(sender, 5).values())
    assert (server.accepted, len(server.requests), sender.in_flight) == (1, 102, 1)
    sender.abandon()


def test_frames_that_come_between_requests_do_no_harm(sender: Sender, serve: Serve) -> None:
    def gives_room_later(streams: Streams, stream: int) -> None:
        streams.answer(stream)
        time.sleep(0.02)
        streams.send_frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1000))
        updated.append(stream)

    updated: list[int] = []
    server = serve(gives_room_later)
    for count in range(1, 4):
        assert is_delivered(send(sender, url_of(server)))
        wait_until(lambda: len(updated) == count)  # noqa: B023  called at once
    assert (server.accepted, len(server.requests)) == (1, 3)
