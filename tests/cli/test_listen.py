"""`avra listen` as a process, against a platform of its own that is killed and comes back."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook

from tests.conftest import Workspace, deployed
from tests.docs_site.code_blocks import block
from tests.free_ports import free_port
from tests.jobs.test_prefork import web
from tests.platform_process import PlatformProcess
from tests.reading import captured, output_of
from tests.receivers import Answer, Received, Receiver, answer_after
from tests.waiting import wait_for
from tests.web.api.conftest import Api, new_api
from tests.web.deliveries import newest, state
from webhooks_app import config
from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.api_client import ApiClient
from webhooks_app.cli.forwarding import ForwardTarget
from webhooks_app.cli.listen import _Interrupts
from webhooks_app.cli.listener_loop import Listening, ListenOptions
from webhooks_app.cli.profiles import Profile
from webhooks_app.db.models import DeliveryState, Endpoint
from webhooks_app.extensions import db

SECONDS = 180
COMMAND = (sys.executable, "-m", "webhooks_app", "listen")
# It is asked to end as soon as the platform has begun the listener.
_STOPPED_ONCE_BEGUN = """
import os, signal
from webhooks_app.cli import listener_loop, main

begin = listener_loop.Listening.begin

def begin_and_be_asked(each):
    begun = begin(each)
    os.kill(os.getpid(), signal.SIGTERM)
    return begun

listener_loop.Listening.begin = begin_and_be_asked
main.main(prog_name="avra")
"""


class Program:
    """`avra listen`, with what it has printed so far."""

    def __init__(self, environ: dict[str, str], *options: str, command: Sequence[str] = COMMAND) -> None:
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        self.process = subprocess.Popen(
            [*command, *options],
            cwd=config.ROOT,
            env=kept | environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.said: list[str] = []
        streams = (self.process.stdout, self.lines), (self.process.stderr, self.said)
        self._readers = [threading.Thread(target=_read, args=each) for each in streams]
        for reader in self._readers:
            reader.start()

    def await_said(self, text: str, count: int = 1) -> None:
        wait_for(lambda: "".join(self.said).count(text) >= count, SECONDS)

    def await_line(self, delivery_id: str) -> dict[str, Any]:
        """Return what it printed of a delivery."""
        wait_for(lambda: any(delivery_id in line for line in self.lines), SECONDS)
        found: dict[str, Any] = json.loads(next(line for line in self.lines if delivery_id in line))
        return found

    @property
    def secret(self) -> str:
        return captured(r"(whsec_\S+)", "".join(self.said))

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """Return how it ended."""
        status = self.process.wait(SECONDS)
        for reader in self._readers:
            reader.join(SECONDS)
        return status


def _read(stream: Any, lines: list[str]) -> None:
    with stream:
        lines.extend(stream)


@pytest.fixture
def api(workspace: Workspace) -> Api:
    return new_api(workspace)


@pytest.fixture
def environ(database_url: str, redis_url: str, tmp_path: Path, api: Api) -> dict[str, str]:
    port = str(free_port())
    named = {"PORT": port, "AVRA_URL": f"http://127.0.0.1:{port}", "AVRA_TOKEN": api.token}
    return deployed(database_url, redis_url, tmp_path) | named


@pytest.fixture
def listen(environ: dict[str, str], receiver: Receiver) -> Iterator[Callable[..., Program]]:
    """Starts the program, and waits until it listens."""
    with ExitStack() as ends:

        def start(*options: str, **more: str) -> Program:
            target = f"http://127.0.0.1:{receiver.port}/hooks"
            usual = "--forward-to", target, "--timeout", "30", "--name", "laptop", "--json"
            program = Program(environ | more, *usual, *options)
            ends.callback(program.kill)
            program.await_said("Ctrl-C ends it.")
            return program

        yield start


@contextmanager
def platform(environ: dict[str, str]) -> Iterator[PlatformProcess]:
    with web(environ) as process:
        assert output_of(process).readline() == "ready\n"
        yield process


def sent(workspace: Workspace) -> str:
    """Send an event; return its delivery's id."""
    workspace.send()
    return newest().id


@pytest.mark.long
def test_it_goes_on_through_deaths_of_both_sides(
    workspace: Workspace,
    api: Api,
    environ: dict[str, str],
    receiver: Receiver,
    listen: Callable[..., Program],
) -> None:
    with platform(environ):
        before_it = workspace.send()
        first = listen("--since", "2h")
        wait_for(lambda: len(receiver.received) == 1, SECONDS)
        assert json.loads(receiver.received[0].body)["id"] == before_it[0]

        delivery = sent(workspace)
        printed = first.await_line(delivery)
        assert (printed["status"], printed["state"], printed["event_type"]) == (
            200,
            "delivered",
            "batch-lifecycle",
        )
        got = receiver.received[-1]
        assert Webhook(first.secret).verify(got.body, got.headers)["workspace_id"] == workspace.id
        assert state(delivery) is DeliveryState.DELIVERED

    first.await_said("does not answer")  # the platform was killed
    missed = sent(workspace)
    with platform(environ):
        first.await_line(missed)
        first.await_said("Connected again.")

        # It dies with a delivery in hand; the next one of its name has it.
        may_answer = threading.Event()
        receiver.answer = answer_after(may_answer)
        in_hand = sent(workspace)
        wait_for(lambda: receiver.received[-1].delivery_id == in_hand, SECONDS)
        first.kill()
        may_answer.set()
        receiver.answer = lambda request: Answer(503 if request.delivery_id == in_hand else 200)
        second = listen()
        printed = second.await_line(in_hand)
        assert (printed["status"], printed["state"]) == (503, "pending")
        assert printed["next_attempt_at"]
        assert second.secret == first.secret
        second.await_said("Took over from the program before under this name")

        before = len(second.lines)
        assert api.call("POST", f"/deliveries/{missed}/replay").status_code == 202
        wait_for(lambda: any(missed in line for line in second.lines[before:]), SECONDS)
        third = listen()
        assert second.wait() == 3
        second.await_said("give each its own --name.")
        assert third.interrupt() == 0
        third.await_said("Ended. 1 delivery that waited was canceled; replay brings it back")
        assert state(in_hand) is DeliveryState.CANCELED
        db.session.rollback()
        assert db.session.scalars(select(Endpoint.deleted_at)).one() is not None


_OPTIONS = "--events batch-lifecycle,batch-request --since 2h"
LISTENING = {
    "README.md": "export AVRA_URL=http://127.0.0.1:8000",
    "docs/consumers.md": "avra listen --forward-to http://localhost:3000/hooks",
    "docs/shell.md": f"avra listen --forward-to http://localhost:3000/webhooks {_OPTIONS}",
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_documents_commands_listen(
    workspace: Workspace, environ: dict[str, str], receiver: Receiver
) -> None:
    avra, programs = f"{sys.executable} -m webhooks_app", list[Program]()
    with platform(environ), ExitStack() as ends:
        for document, name in LISTENING.items():
            script = block(document, name).replace("http://127.0.0.1:8000", environ["AVRA_URL"])
            script = script.replace("localhost:3000", f"127.0.0.1:{receiver.port}").replace(
                " 3000", f" {receiver.port}"
            )
            *before, last = (
                script.replace(".venv/bin/avra", "avra").strip().replace("avra ", f"{avra} ").splitlines()
            )
            shell = ["sh", "-ec", "\n".join([*before, f"exec {last} --name {Path(document).stem.lower()}"])]
            programs.append(Program(environ, command=shell))
            ends.callback(programs[-1].kill)
        for each in programs:
            each.await_said("Ctrl-C ends it.")
        workspace.send()
        wanted = {"/", "/hooks", "/webhooks"}
        wait_for(lambda: {request.path for request in receiver.received} == wanted, SECONDS)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_platform_is_asked_by_way_of_a_proxy_and_the_own_server_is_not(
    workspace: Workspace, environ: dict[str, str], receiver: Receiver, listen: Callable[..., Program]
) -> None:
    with platform(environ), Receiver() as proxy:

        def hand_on(request: Received) -> Answer:
            parts = urlsplit(request.path)  # a proxy is asked for a whole URL
            assert parts.netloc == "platform.invalid"
            with closing(HTTPConnection("127.0.0.1", int(environ["PORT"]), timeout=SECONDS)) as connection:
                connection.request(request.method, parts.path, request.body, request.headers)
                response = connection.getresponse()
                return Answer(response.status, response.read(), {"Content-Type": "application/json"})

        proxy.answer = hand_on
        proxied = {"AVRA_URL": "http://platform.invalid", "HTTP_PROXY": f"http://127.0.0.1:{proxy.port}"}
        program = listen("--events", "batch-lifecycle,batch-request", "--header", "X-Own: 1", **proxied)
        program.await_line(sent(workspace))
        assert receiver.received[0].headers["x-own"] == "1"
        assert {urlsplit(each.path).netloc for each in proxy.received} == {"platform.invalid"}
        assert program.interrupt() == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_says_what_keeps_it_from_listening(
    workspace: Workspace, environ: dict[str, str], tmp_path: Path
) -> None:
    with platform(environ):
        for changed, options, status, text in (
            ({"AVRA_TOKEN": workspace.token}, ["--forward-to", "3000"], 77, "needs the scope events:listen"),
            ({}, ["--forward-to", "3000", "--events", "no-such"], 65, "“no-such” is not in the catalog"),
            ({}, ["--forward-to", "ftp://a/"], 64, "Give a URL"),
            ({}, ["--forward-to", "3000", "--since", "2"], 64, "Give a time"),
            ({}, ["--forward-to", "3000", "--name", "Anna's"], 64, "such as annas-laptop"),
        ):
            program = Program(environ | changed, *options)
            assert program.wait() == status
            program.await_said(text)
            assert not re.search("Traceback", "".join(program.said))


def holds(receiver: Receiver, delivery_id: str) -> bool:
    return any(each.delivery_id == delivery_id for each in receiver.received)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_request_to_stop_while_it_begins_ends_the_listener_too(environ: dict[str, str]) -> None:
    with platform(environ):
        command = (sys.executable, "-c", _STOPPED_ONCE_BEGUN, "listen")
        program = Program(environ, "--forward-to", "3000", command=command)
        assert program.wait() == 0
    assert program.said[-1] == "Ended. Nothing waited.\n"
    assert db.session.scalars(select(Endpoint.deleted_at).where(Endpoint.is_listener)).one() is not None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_ctrl_c_waits_for_what_is_in_hand_and_a_second_one_does_not(
    workspace: Workspace, environ: dict[str, str], receiver: Receiver, listen: Callable[..., Program]
) -> None:
    with platform(environ):
        for interrupts in (1, 2):
            may_answer = threading.Event()
            receiver.answer = answer_after(may_answer)
            program = listen()
            in_hand = sent(workspace)
            wait_for(partial(holds, receiver, in_hand), SECONDS)
            program.process.send_signal(signal.SIGINT)
            program.await_said("Ctrl-C again ends at once.")
            if interrupts == 1:
                may_answer.set()
                program.await_line(in_hand)
                assert program.wait() == 0
                assert state(in_hand) is DeliveryState.DELIVERED
            else:
                assert program.interrupt() == 0
                may_answer.set()
                program.await_said("Ended. 1 delivery that waited was canceled")
                assert not program.lines


@contextmanager
def answering(answer: Answer) -> Iterator[dict[str, str]]:
    """A platform of another version or in trouble, which always answers this; yields what names it."""
    with Receiver() as server:
        server.answer = answer
        yield {"AVRA_URL": f"http://127.0.0.1:{server.port}", "AVRA_TOKEN": "tok_x"}


def test_a_platform_that_has_no_listeners_is_said_to_be_older() -> None:
    body = b'{"error": {"code": "not_found", "message": "There is nothing here.", "field": null}}'
    with answering(Answer(404, body, {"Content-Type": "application/json"})) as environ:
        program = Program(environ, "--forward-to", "3000")
        assert program.wait() == 65
        assert "it is older than this command" in "".join(program.said)


def test_it_asks_again_when_the_platform_says() -> None:
    slept: list[float] = []

    class Waiting(Listening):
        def _sleep(self, seconds: float) -> None:
            slept.append(seconds)
            self.is_stopping = len(slept) == 3

    options = ListenOptions(name="laptop", target=ForwardTarget("http://127.0.0.1:9/"))
    for asked, at_least in (("7200", 300), ("90", 90)):
        slept.clear()
        with answering(Answer(429, b"{}", {"Retry-After": asked})) as named:
            profile = Profile("test", named["AVRA_URL"], "tok_x")
            waiting = Waiting(ApiClient(profile), options, lambda _: None)
            waiting._listener = {"id": "ep_1", "session": "lss_1"}
            with pytest.raises(ApiFailure):
                list(waiting.handle_all())
        assert min(slept) == at_least


@pytest.mark.parametrize("asked", ["90", "50"])  # the shorter one is the client's own to wait for
def test_a_pause_that_the_platform_asks_for_ends_when_it_is_to_stop(asked: str) -> None:
    options = ListenOptions(name="laptop", target=ForwardTarget("http://127.0.0.1:9/"))
    with answering(Answer(429, b"{}", {"Retry-After": asked})) as named:
        listening = Listening(ApiClient(Profile("test", named["AVRA_URL"], "tok_x")), options, lambda _: None)
        listening._listener = {"id": "ep_1", "session": "lss_1"}
        threading.Timer(0.3, setattr, (listening, "is_stopping", True)).start()
        began = time.monotonic()
        with pytest.raises(ApiFailure):
            list(listening.handle_all())
        assert time.monotonic() - began < 45


def test_a_signal_that_interrupts_no_system_call_is_noticed() -> None:
    options = ListenOptions(name="laptop", target=ForwardTarget("http://127.0.0.1:1/", (), verifies_tls=True))
    with ApiClient(Profile("test", "http://127.0.0.1:1", "tok_x")) as client:
        listening = Listening(client, options, lambda _: None)
        listening.is_waiting = True
        asking = threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
        ours, theirs = socket.socketpair()
        ours.settimeout(SECONDS)

        def wait_for_the_signal() -> None:
            asking.start()
            ours.recv(1)

        with ours, theirs, _Interrupts(listening), pytest.raises(KeyboardInterrupt):
            wait_for_the_signal()
    asking.join()


def test_one_that_is_to_end_asks_for_nothing_more() -> None:
    options = ListenOptions(name="laptop", target=ForwardTarget("http://127.0.0.1:1/", (), verifies_tls=True))
    with ApiClient(Profile("test", "http://127.0.0.1:1", "tok_x")) as client:
        listening = Listening(client, options, lambda _: None)
        listening.is_stopping = True
        assert listening._fetch(1) == []
