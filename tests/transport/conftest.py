"""Share a sender, scripted servers, a private CA and a resolver that answers as a test wants."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.transport.certificates import Authority
from tests.transport.scripted_server import OK, Script, Serve, Server, answering
from tests.transport.sending import DnsAnswers, new_sender
from webhooks_app.transport.sender import Sender


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = new_sender()
    yield made
    made.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(script: Script | None = None, ip: str = "127.0.0.1", **options: Any) -> Server:
            return stack.enter_context(Server(script or answering(OK), ip, **options))

        yield start


@pytest.fixture
def dns_answers(monkeypatch: pytest.MonkeyPatch) -> DnsAnswers:
    """Map a name to what the system's resolver answers, one after the other; the last one stays."""
    answers: DnsAnswers = {}
    ask: Any = socket.getaddrinfo

    def getaddrinfo(host: str | bytes, *args: object, **options: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in answers:
            return ask(host, *args, **options)
        found = answers[name].pop(0) if len(answers[name]) > 1 else answers[name][0]
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0))
            for each in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))
