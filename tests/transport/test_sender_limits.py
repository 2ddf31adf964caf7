"""Fit what a sender does at once into the files that it may open."""

import pytest

from tests.transport.scripted_server import OK, Connection, Serve
from tests.transport.sending import HEADERS, DnsAnswers, collect, new_sender, wait_until
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender_limits import DEFAULT_LIMITS, fit_open_files


@pytest.mark.parametrize("open_files", [4096, 1_000_000])
@pytest.mark.parametrize("in_flight", [1, 400, 2000])
def test_with_enough_open_files_nothing_is_lowered(in_flight: int, open_files: int) -> None:
    assert fit_open_files(in_flight, open_files) == (in_flight, DEFAULT_LIMITS)


@pytest.mark.parametrize("open_files", [64, 128, 256, 512, 1024, 2048])
def test_whatever_is_done_at_once_fits(open_files: int) -> None:
    in_flight, limits = fit_open_files(2000, open_files)
    assert 1 <= in_flight <= limits.connections.total
    assert limits.connections.idle == limits.connections.total
    used = limits.connections.total * 3 / 2 + limits.resolver.threads * 2
    assert used <= max(open_files - 64, 16)
    assert limits.resolver.slow_lookups_at_once <= limits.resolver.lookups_at_once


def test_fewer_than_fit_stay_as_they_are_set() -> None:
    assert fit_open_files(10, 256)[0] == 10
    assert fit_open_files(400, 256)[0] < 200


def test_idle_connections_make_room_for_those_to_other_hosts(serve: Serve, dns_answers: DnsAnswers) -> None:
    most_open = 0

    def answers(connection: Connection) -> None:
        nonlocal most_open
        while connection.read():
            most_open = max(most_open, server.accepted - server.closed)
            connection.send(OK)

    server = serve(answers)
    capacity, limits = fit_open_files(400, 128)
    sender = new_sender(capacity=capacity, limits=limits)
    for turn in range(10):
        names = [f"n{turn}-{number}.test" for number in range(capacity)]
        dns_answers |= {name: [["127.0.0.1"]] for name in names}
        for name in names:
            sender.start(name, Request(server.url_for(name), HEADERS, b"{}", 30_000))
        assert all(each.is_success for each in collect(sender, capacity).values())
    wait_until(lambda: len(server.open) <= capacity)
    sender.close()
    # The server learns a moment later that a connection was closed.
    assert most_open <= 2 * capacity
