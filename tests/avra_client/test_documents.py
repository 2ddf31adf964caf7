"""What the documents of the client and its outbox say is true: their code runs, their commands are there."""

import contextlib
import io
import re
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from avra_client import Client, DeliveryStatus, EventStatus, Result, Sent, dbapi, relay_command, relay_health
from avra_client.relay_state import RelayState
from tests.avra_client.conftest import Store
from tests.conftest import Workspace
from tests.test_packages import ROOT
from webhooks_app.db.models import DeliveryState, Event
from webhooks_app.extensions import db

README = (ROOT / "clients" / "python" / "README.md").read_text()
OUTBOX = (ROOT / "docs" / "outbox.md").read_text()
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Base(DeclarativeBase):
    pass


class Batch(Base):
    __tablename__ = "batches"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)


def test_the_readmes_code_sends_an_event(platform_url: str, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    send, send_once, read = (
        source.replace("https://webhooks.example.com", platform_url).replace("tok_…", workspace.token)
        for source in PYTHON.findall(README)
    )
    names: dict[str, Any] = {}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(send, "README.md", "exec"), names)
        event_id = names["sent"].id
        for _ in range(2):
            exec(compile(send_once, "README.md", "exec"), names)
        exec(compile(read.replace("evt_…", event_id), "README.md", "exec"), names)
    sent, first, second, status = output.getvalue().splitlines()
    assert (db.session.get_one(Event, event_id).type, sent) == ("batch-lifecycle", f"{event_id} 1")
    assert (first.split()[1:], second.split()[1:]) == (["is", "accepted"], ["was", "accepted", "before"])
    assert first.split()[0] == second.split()[0]
    assert re.fullmatch(r"pending 0 None None 20\S+ \S+\+00:00", status)


def test_the_readme_names_what_is_passed_and_returned() -> None:
    section = README.partition("## Send, and what it returns")[2].partition("\n## ")[0]
    fields_of_sent, _, parameters = section.partition("| Parameter of `Client`")
    assert re.findall(r"^\| `(\w+)` \|", fields_of_sent, re.MULTILINE) == [each.name for each in fields(Sent)]
    cells = re.findall(r"^\| (`.*?) \|", parameters, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert named == list(signature(Client).parameters)
    assert f"`Result({', '.join(each.name for each in fields(Result))})`" in section
    for method in (Client.send, Client.send_many):
        shown = re.findall(rf"`client\.{method.__name__}\((.*?)\)`", section)
        assert [re.sub(r"=\w+|[*], ", "", shown[0])] == [", ".join(list(signature(method).parameters)[1:])]


def test_the_readme_names_every_field_and_state_of_a_status() -> None:
    section = README.partition("## What became of an event")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (`.*`) \| (.*) \|$", section, re.MULTILINE))
    named = [name for cell in rows for name in re.findall(r"`(\w+)`", cell)]
    assert named == [each.name for each in fields(DeliveryStatus)]
    assert re.findall(r"`(\w+)`", rows["`state`"]) == list(DeliveryState)
    assert f"`EventStatus({', '.join(each.name for each in fields(EventStatus))})`" in section


def test_the_outboxs_code_writes_a_batch_and_an_event_that_is_accepted(
    empty_store: Store, client: Client
) -> None:
    engine = create_engine(empty_store.url)
    write, make_table = PYTHON.findall(OUTBOX)
    names: dict[str, Any] = {"Session": Session, "engine": engine, "batch": Batch(id="b7"), "Base": Base}
    exec(compile(make_table, "outbox.md", "exec"), names)
    Base.metadata.create_all(engine)
    exec(compile(write, "outbox.md", "exec"), names)
    assert empty_store.run("SELECT id FROM batches") == [("b7",)]
    assert empty_store.relay(client).run_once() == 1
    assert [event.type for event in db.session.query(Event)] == ["batch-lifecycle"]
    Base.metadata.drop_all(engine)
    Base.metadata.remove(Base.metadata.tables["avra_outbox"])
    engine.dispose()


def test_the_outboxs_databases_are_those_that_are_taken() -> None:
    urls = re.findall(r"^\| `(\w+:///?\S+)` \|", OUTBOX, re.MULTILINE)
    assert [urlsplit(url).scheme for url in urls] == ["sqlite", "sqlite", "postgresql", "mysql"]
    for url in urls:
        dbapi.connector(url)


def test_its_commands_and_options_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    commands = set(re.findall(r"`?avra-relay ([a-z][a-z-]*)", OUTBOX))
    assert commands == {"ddl", "run", "counts", "set-aside", "failing", "retry", "discard", "resend"}
    known = ""
    for command in commands:
        with pytest.raises(SystemExit):
            relay_command.main([command, "--help"])
        known += capsys.readouterr().out
    with pytest.raises(SystemExit):
        relay_command.main(["--help"])
    known += capsys.readouterr().out
    assert {option for option in re.findall(r"--[a-z][a-z-]+", OUTBOX) if option not in known} == set()


def test_its_metrics_are_there() -> None:
    names = set(re.findall(r"`(?:avra_relay|…)_([a-z_]+)`", OUTBOX))
    text = relay_health.metrics(RelayState(), (0, 0.0, 0))
    assert len(names) == 10
    assert {name for name in names if f"avra_relay_{name} " not in text} == set()


@pytest.mark.parametrize("document", [README], ids=["readme"])
def test_the_links_lead_somewhere(document: str) -> None:
    folder: Path = ROOT / "clients" / "python"
    links = re.findall(r"\]\(([^)#:]+)\)", document)
    assert [link for link in links if not (folder / link).exists()] == []
