"""The commands and the code of the pages for producers and consumers run, as they are shown."""

import contextlib
import io
import json
import os
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from docs_site.navigation import ROOT
from tests.conftest import TESTER, Workspace
from tests.docs_site.code_blocks import block
from tests.free_ports import free_port
from tests.receivers import Receiver
from tests.served_app import served
from tests.web.api.conftest import new_api
from webhooks_app.accounts.token_scopes import FIRST_SCOPES
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, Endpoint, Event
from webhooks_app.deliveries.log.filters import Status
from webhooks_app.endpoints import signing_secrets
from webhooks_app.events import catalog
from webhooks_app.extensions import db, services
from webhooks_app.web.api.event_input import LARGEST_BATCH
from webhooks_app.worker.engine import DeliveryEngine

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS, TOKEN = "http://127.0.0.1:8000", "tok_…"


def blocks(page: str, language: str) -> list[str]:
    """The page's code of that language, but for the Verify tab's, which tests/test_snippets.py runs."""
    text = (ROOT / "docs" / page).read_text().partition("\n## Verification code\n")[0]
    return [code for found, code in BLOCK.findall(text) if found == language]


CURLS = [code for code in blocks("producers.md", "sh") if code.startswith("curl")]
PRODUCERS, CONSUMERS = blocks("producers.md", "python"), blocks("consumers.md", "python")
# Each of these shows how an app gets the client, and a first program.
CLIENTS = ("../README.md", "producers.md", "../clients/python/README.md")
PUT = block("README.md", "curl -X PUT http://127.0.0.1:8000/api/v1/endpoints/by-name/Billing \\")
CLONE = "https://git.example.com/avra.git"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """SQLite alone: nothing here depends on the database."""
    return sqlite_url


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def run_curl(command: str, url: str, token: str) -> Any:
    """What the command answers, which is run as a shell would, but for the address and the token."""
    assert ADDRESS in command and TOKEN in command
    script = command.replace(ADDRESS, url).replace(TOKEN, token)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_commands_for_producers_send_events(url: str, workspace: Workspace) -> None:
    first, keyed, batch = (run_curl(command, url, workspace.token) for command in CURLS)
    assert db.session.get_one(Event, first["id"]).type == "batch-lifecycle"
    assert run_curl(CURLS[1], url, workspace.token)["id"] == keyed["id"]
    assert [each["repeated"] for each in batch["events"]] == [False, False]
    assert [each["repeated"] for each in run_curl(CURLS[2], url, workspace.token)["events"]] == [True, True]


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, r"evt_\w+ 0\n"), (1, r"evt_\w+ is accepted\n"), (2, r"3\n")],
    ids=["one", "keyed", "many"],
)
def test_the_code_for_producers_sends_events(url: str, workspace: Workspace, number: int, said: str) -> None:
    output = io.StringIO()
    source = PRODUCERS[number].replace(ADDRESS, url).replace(TOKEN, workspace.token)
    with contextlib.redirect_stdout(output):
        exec(compile(source, "producers.md", "exec"), {})
    assert re.fullmatch(said, output.getvalue())


def test_the_code_with_a_key_tells_a_repeat_a_refusal_and_an_absence_apart(
    url: str, workspace: Workspace
) -> None:
    source = PRODUCERS[1].replace(ADDRESS, url).replace(TOKEN, workspace.token)
    first_id = run_curl(CURLS[1], url, workspace.token)["id"]
    assert said_by(source) == f"{first_id} was accepted before\n", "curl and the client send the same event"
    refused = said_by(source.replace('"status": "succeeded"', '"status": "failed"'))
    assert refused.startswith("It would be refused again: ")
    absent = source.replace(url, f"http://127.0.0.1:{free_port()}").replace(
        ") as client", ", deadline_seconds=0.1) as client"
    )
    assert said_by(absent).startswith("Send it again later, under the same key: order-1042-paid The platform")


def test_the_code_for_producers_reads_what_became_of_an_event(
    url: str, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    [event_id] = workspace.send()
    source = PRODUCERS[3].replace(ADDRESS, url).replace(TOKEN, workspace.token).replace("evt_…", event_id)
    pending = said_by(source).rsplit(" ", 2)[0]
    engine.run(seconds=60)
    delivered = said_by(source).strip()
    text = (ROOT / "docs" / "producers.md").read_text()
    assert f"prints `{delivered}` for one that arrived at once, and `{pending}` with a moment" in text


def said_by(source: str) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, "producers.md", "exec"), {})
    return output.getvalue()


def test_the_readmes_command_puts_an_endpoint_as_often_as_it_runs(
    app: Flask, url: str, workspace: Workspace
) -> None:
    token = new_api(workspace).token
    first, again = (run_curl(PUT, url, token) for _ in range(2))
    assert (first["name"], first["event_types"], first["id"]) == ("Billing", ["batch-lifecycle"], again["id"])
    first.pop("secret")  # which is shown once
    assert first == again, "nothing is changed where nothing differs"


def test_the_first_commands_clone_and_run(tmp_path: Path) -> None:
    """Of a repository with nothing but a Makefile: tests/cli/test_make.py tries what `make run` does."""
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "Makefile").write_text("run:\n\t@echo it runs\n")
    as_somebody = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "One"]):
        subprocess.run([*as_somebody, *command], cwd=origin, check=True)
    script = block("docs/producers.md", f"git clone {CLONE} && cd avra").replace(CLONE, f"{origin} avra")
    of_nobody = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["sh", "-ec", script], cwd=tmp_path, env=of_nobody, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "it runs\n"), done.stderr


def test_the_page_for_producers_names_the_scopes_that_its_code_needs() -> None:
    """Those of the token that the other tests run it with, to which nobody gave any of their own."""
    section = (ROOT / "docs" / "producers.md").read_text().partition("## Address and token\n\n")[2]
    first_sentence = section.partition(". ")[0]
    assert set(re.findall("`([a-z]+:[a-z]+)`", first_sentence)) == FIRST_SCOPES
    assert "(#from-python)" in section.partition("\n\n")[0], "whoever began here goes on there"


@pytest.mark.parametrize("page", CLIENTS)
def test_an_app_gets_its_environment_the_client_and_a_file_to_run(page: str) -> None:
    _, found, rest = (ROOT / "docs" / page).read_text().partition("In your app's folder, ")
    install, code, run = BLOCK.findall(rest)[:3]
    assert found and "Save this as `app.py`" in rest
    assert install[1] == "python3 -m venv venv && venv/bin/pip install /path/to/checkout/clients/python\n"
    assert "client.send(" in code[1]
    assert run[1] == "venv/bin/python app.py\n"


@pytest.mark.parametrize("name", [f"events/{name}.md" for name in sorted(catalog.load().names)])
def test_each_event_types_command_sends_such_an_event(app: Flask, workspace: Workspace, name: str) -> None:
    """Through the application alone, as the commands differ in their bodies only."""
    [command] = blocks(name, "sh")
    words = shlex.split(command.replace("\\\n", " "))
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    headers["Authorization"] = f"Bearer {workspace.token}"
    path = words[1].removeprefix(ADDRESS)
    answer = app.test_client().post(path, data=words[words.index("-d") + 1].encode(), headers=headers)
    assert answer.status_code == 202, answer.text
    output = io.StringIO()
    event = json.loads(blocks(name, "json")[0])
    with contextlib.redirect_stdout(output):
        exec(compile(f"{blocks(name, 'python')[0]}\nhandle(event)", name, "exec"), {"event": event})
    assert output.getvalue().startswith(event["type"])


def test_the_code_for_consumers_verifies_signs_and_processes_once(
    app: Flask, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    [secret] = signing_secrets.reveal(database, services(app).cipher, endpoint, actor=TESTER)
    [event_id] = workspace.send()
    engine.run(seconds=60)
    [request] = receiver.received
    names: dict[str, Any] = {}
    for source in CONSUMERS:
        exec(compile(source, "consumers.md", "exec"), names)

    event = names["read_delivery"](secret, request.body, request.headers)
    assert event["id"] == event_id
    delivery_id = request.headers["webhook-id"]
    with contextlib.closing(sqlite3.connect(":memory:")) as own:
        own.executescript(
            "CREATE TABLE seen (id TEXT PRIMARY KEY); CREATE TABLE work (type TEXT, event_id TEXT)"
        )
        assert [names["process_once"](own, delivery_id, event) for _ in range(2)] == [True, False]
        assert own.execute("SELECT count(*) FROM work").fetchone() == (1,)
    assert sample_headers() <= set(request.headers)
    assert list(sample_body()) == list(event)
    headers = names["signed_headers"](secret, "dlv_1", '{"id": "evt_1"}')
    assert names["read_delivery"](secret, b'{"id": "evt_1"}', headers) == {"id": "evt_1"}


def sample_headers() -> set[str]:
    head = blocks("consumers.md", "http")[0].partition("\n\n")[0].splitlines()[1:]
    return {line.partition(":")[0].lower() for line in head}


def sample_body() -> dict[str, Any]:
    body: dict[str, Any] = json.loads(blocks("consumers.md", "http")[0].partition("\n\n")[2])
    return body


def test_the_pages_name_the_limits_that_there_are() -> None:
    text = (ROOT / "docs" / "producers.md").read_text()
    assert f"Up to {LARGEST_BATCH:,} events" in text


@pytest.mark.parametrize(
    ("page", "heading"), [("producers", "Never twice"), ("consumers", "The same delivery twice")]
)
def test_who_searches_for_duplicates_finds_what_prevents_them(page: str, heading: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert re.search(r"\bdeduplicates?\b", section) and re.search(r"\bduplicate\b", section)


def test_the_page_for_producers_says_what_pending_stands_for() -> None:
    text = (ROOT / "docs" / "producers.md").read_text()
    assert f"`{Status.RETRYING}` or `{Status.SENDING}`, this says `{DeliveryState.PENDING}`" in text
    assert {Status.RETRYING, Status.SENDING}.isdisjoint(DeliveryState)


def test_the_first_page_leads_to_each_reader() -> None:
    text = (ROOT / "docs" / "README.md").read_text()
    assert [
        page for page in ("producers", "consumers", "admins", "production") if f"({page}.md)" not in text
    ] == []
