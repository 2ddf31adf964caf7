"""Cut off servers that send on and on without content."""

import socket

import pytest

from tests.transport.scripted_server import OK, Connection, Serve, silence
from tests.transport.sending import HEADERS, PATIENCE_SECONDS, collect, new_sender, send, wait_until
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.sender_limits import FloodLimits, SenderLimits


def floods_by_chunk_extension(connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;")
    while True:
        connection.send(b"a" * 65536)


def floods_at_once(connection: Connection) -> None:
    connection.read()
    floods_by_chunk_extension(connection)


def floods_on_second(connection: Connection) -> None:
    connection.read()
    connection.send(OK)
    floods_at_once(connection)


CUT_OFF = "The answer's body was cut short: Over 1 MiB came in that is neither a response's head nor its body"


def test_endless_wrapping_without_content_is_cut_off_early(sender: Sender, serve: Serve) -> None:
    flooding, good, waiting = serve(floods_at_once), serve(), serve(silence)
    sender.start("waiting", Request(waiting.url, HEADERS, b"{}", 120_000))
    for key in range(3):
        sender.start(key, Request(flooding.url, HEADERS, b"{}", 120_000))
        sender.start(f"good {key}", Request(good.url, HEADERS, b"{}", 120_000))
    outcomes = collect(sender, 6)
    assert all(outcomes[f"good {key}"].is_success for key in range(3))
    for cut in (outcomes[key] for key in range(3)):
        assert (cut.kind, cut.status, cut.response_body) == ("success", 200, b"")
        assert cut.detail.startswith(CUT_OFF)
        assert 0 < cut.timings.total_us < PATIENCE_SECONDS * 1_000_000
    wait_until(lambda: flooding.closed == 3)
    assert (sender.in_flight, flooding.accepted) == (1, 3)
    sender.abandon()


def test_endless_wrapping_on_a_reused_connection_is_cut_off_early(sender: Sender, serve: Serve) -> None:
    server = serve(floods_on_second)
    outcomes = [send(sender, server.url, timeout_ms=120_000) for _ in range(3)]
    assert [each.is_success for each in outcomes] == [True] * 3
    assert [each.detail[: len(CUT_OFF)] for each in outcomes] == ["", CUT_OFF, ""]
    assert outcomes[1].timings.total_us < PATIENCE_SECONDS * 1_000_000
    assert server.accepted == 2


def test_many_small_pieces_are_no_flood(sender: Sender, serve: Serve) -> None:
    def dribble(connection: Connection) -> None:
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n")
        connection.drip(b"y" * 2000, every_seconds=0)

    assert send(sender, serve(dribble).url).response_body == b"y" * 2000


def test_a_flood_is_cut_off_where_the_kernel_does_not_count_bytes(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "TCP_INFO", raising=False)
    sender = new_sender(limits=SenderLimits(floods=FloodLimits(max_reads=8)))
    outcome = send(sender, serve(floods_at_once).url, timeout_ms=120_000)
    sender.close()
    assert outcome.detail.startswith(CUT_OFF)
    assert outcome.timings.total_us < PATIENCE_SECONDS * 1_000_000
