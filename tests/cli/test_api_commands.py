"""The commands that use a platform's API, against a real one."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from tests.conftest import Workspace
from tests.free_ports import free_port
from tests.reading import output_of
from tests.server.running_server import serving
from tests.waiting import wait_for
from tests.web.api.conftest import new_api
from tests.web.api.listening import listen
from tests.web.deliveries import newest
from tests.web.endpoints import only_endpoint, states
from tests.worker.attempted import deliveries, make_due
from webhooks_app import config
from webhooks_app.cli.main import main
from webhooks_app.core.text_display import MASK
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState
from webhooks_app.deliveries import recovery_runs
from webhooks_app.extensions import services
from webhooks_app.worker.engine import DeliveryEngine

URL = "https://a.example.com/hooks"


@dataclass
class Avra:
    """The shell of somebody who has a token of the workspace."""

    environ: dict[str, str]

    def run(self, *arguments: str, typed: str = "") -> Result:
        nothing = dict.fromkeys([*config.NAMES, "HTTP_PROXY", "http_proxy"])
        return CliRunner(env=nothing | self.environ).invoke(main, arguments, input=typed)

    def done(self, *arguments: str, typed: str = "") -> str:
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.done(*arguments, "--json"))

    def rows(self, *arguments: str) -> list[list[str]]:
        """Return what a pipe gets, without the line of names."""
        return [line.split("\t") for line in self.done(*arguments).splitlines()[1:]]


@pytest.fixture
def avra(app: Flask, workspace: Workspace) -> Iterator[Avra]:
    token = new_api(workspace).token
    with serving(app) as server:
        yield Avra({"AVRA_URL": f"http://127.0.0.1:{server.port}", "AVRA_TOKEN": token})


def test_events_are_sent(avra: Avra, workspace: Workspace, tmp_path: Path) -> None:
    workspace.endpoint(URL)
    data = {"batch_id": "b1", "status": "succeeded", "note": "é"}
    (tmp_path / "data.json").write_text(json.dumps(data))
    sent = avra.json("events", "send", "batch-lifecycle", "--data", f"@{tmp_path}/data.json", "--key", "k1")
    again = avra.json("events", "send", "batch-lifecycle", "--data", json.dumps(data), "--key", "k1")
    assert sent["deliveries"] == 1
    assert again["id"] == sent["id"]
    assert json.loads(newest().event.body)["data"] == data
    assert avra.json("send-example", "batch-request")["deliveries"] == 1
    assert newest().event_type == "batch-request"


def test_an_example_goes_to_one_endpoint_or_listener(avra: Avra, workspace: Workspace) -> None:
    listening = listen(new_api(workspace))
    sent = avra.json("send-example", "batch-lifecycle", "--endpoint", listening.started["id"])
    [request] = listening.claim()
    assert (request["delivery_id"], request["is_test"]) == (sent["delivery_id"], True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("events", "send", "batch-lifecycle", "--data", "{"), 64, "not JSON"),
        (("events", "send", "batch-lifecycle", "--data", "@/nowhere"), 64, "cannot be read"),
        (("events", "send", "no-such"), 65, "is not in the catalog"),
        (("send-example", "no-such"), 65, "is not in the platform's catalog."),
        (("send-example", "batch-livecycle"), 65, "did you mean “batch-lifecycle”?"),
        (("endpoints", "show", "Nobody"), 65, "There is no such endpoint"),
        (("endpoints", "update", "Nobody"), 64, "Name what is to be changed"),
        (("endpoints", "update"), 64, "Missing argument"),
        (("deliveries", "replay", "dlv_none"), 65, "There is no such delivery"),
        (("deliveries", "list", "--status", "odd"), 65, "status"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    avra: Avra, arguments: tuple[str, ...], status: int, text: str
) -> None:
    result = avra.run(*arguments)
    assert result.exit_code == status, result.output
    assert text in result.output
    assert "Traceback" not in result.output
    for_programs = avra.run(*arguments, "--json")
    assert (for_programs.exit_code, for_programs.stdout) == (status, "")
    error = json.loads(for_programs.stderr)["error"]
    assert set(error) == {"code", "message", "field", "status"}
    assert text in f"{error['field']}: {error['message']}"


def test_an_endpoint_is_managed_from_beginning_to_end(avra: Avra) -> None:
    made = avra.json(
        "endpoints",
        "create",
        URL,
        "--name",
        "Orders",
        "--events",
        "batch-lifecycle, batch-request",
        "--rate",
        "5",
    )
    assert made["secret"].startswith("whsec_")
    assert made["event_types"] == ["batch-lifecycle", "batch-request"]
    [row] = avra.rows("endpoints", "list", "--event", "batch-request")
    assert row == [made["id"], "Orders", "enabled", URL, "false", "batch-lifecycle,batch-request"]

    changed = avra.json("endpoints", "update", "Orders", "--events", "all", "--rate", "0", "--timeout", "9")
    assert (changed["all_events"], changed["rate_per_second"], changed["timeout_seconds"]) == (True, None, 9)
    assert changed["url"] == URL
    tested = avra.json("endpoints", "test", "Orders", "batch-lifecycle")
    assert newest().id == tested["delivery_id"]
    assert avra.json("endpoints", "rotate", "Orders", "--overlap", "1h")["secret"] != made["secret"]
    assert avra.json("endpoints", "disable", made["id"])["state"] == "disabled"
    assert avra.run("endpoints", "enable", "Orders").exit_code == 65  # the test is held: send or discard?
    assert avra.json("endpoints", "enable", "Orders", "--held", "discard")["held"] == 1
    assert "health_state" in avra.done("endpoints", "show", "Orders").replace(" ", "_")

    assert avra.run("endpoints", "delete", "Orders", "--yes").exit_code == 0
    assert only_endpoint().deleted_at is not None
    assert avra.rows("endpoints", "list") == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("command", "status"),
    # Of the second there is nothing to recover.
    [(["endpoints", "delete", "Orders"], os.EX_OK), (["recover", "--since", "1h"], os.EX_DATAERR)],
)
def test_what_asks_says_yes_is_missing_where_nobody_answers(
    avra: Avra, command: list[str], status: int
) -> None:
    avra.done("endpoints", "create", URL, "--name", "Orders")

    unanswered = avra.run(*command)
    assert (unanswered.exit_code, unanswered.stdout) == (64, "")
    assert "?" in unanswered.stderr and "There is nobody to ask: say --yes." in unanswered.stderr
    for_programs = avra.run(*command, "--json")
    assert (for_programs.exit_code, for_programs.stdout) == (64, "")
    error = json.loads(for_programs.stderr)["error"]
    assert (error["code"], error["message"]) == ("usage", "There is nobody to ask: say --yes.")
    assert "Aborted!" in avra.run(*command, typed="n\n").output
    refused = json.loads(avra.run(*command, "--json", typed="maybe\n").stderr)["error"]
    assert refused["message"] == "The answer was no: nothing was done."
    assert only_endpoint().deleted_at is None
    assert avra.run(*command, "--json", typed="y\n").exit_code == status
    assert (only_endpoint().deleted_at is not None) == ("delete" in command)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_credential_in_a_url_is_in_no_text(avra: Avra) -> None:
    masked = f"{URL}?key={MASK}"
    assert masked in avra.done("endpoints", "create", f"{URL}?key=hidden-1", "--name", "Orders")
    said = avra.done("endpoints", "update", "Orders", "--url", f"{URL}?key=hidden-2")
    said += avra.done("endpoints", "show", "Orders") + avra.done("endpoints", "disable", "Orders")
    said += avra.done("endpoints", "enable", "Orders") + avra.done("endpoints", "list")
    asked = avra.run("endpoints", "delete", "Orders", typed="n\n")
    said += asked.output
    assert said.count(masked) == 6 and "hidden" not in said
    assert avra.json("endpoints", "list")["url"] == f"{URL}?key=hidden-2"  # as the API answers it


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_where_nothing_can_be_read_a_pipe_gets_no_line(avra: Avra) -> None:
    away = Avra(avra.environ | {"AVRA_TOKEN": "tok_of_nobody"})
    for command in (("endpoints", "list"), ("deliveries", "list"), ("deliveries", "replay", "dlv_none")):
        result = away.run(*command)
        assert (result.exit_code, result.stdout) == (77, "")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_was_done_before_a_failure_is_told(avra: Avra, workspace: Workspace) -> None:
    workspace.endpoint(URL)
    workspace.send()
    [row] = avra.rows("deliveries", "list")
    result = avra.run("deliveries", "cancel", row[0], "dlv_none")
    assert result.exit_code == 65
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["id", row[0]]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_deletion_is_asked_about(avra: Avra, workspace: Workspace) -> None:
    workspace.endpoint(URL)
    refused = avra.run("endpoints", "delete", "Orders", typed="n\n")
    assert refused.exit_code == 1
    assert "Delete “Orders”" in refused.output
    assert only_endpoint().deleted_at is None


def test_deliveries_are_found_shown_canceled_and_replayed(
    avra: Avra, workspace: Workspace, engine: DeliveryEngine
) -> None:
    workspace.endpoint(f"http://127.0.0.1:{free_port()}/")
    workspace.send(3)
    engine.run(seconds=60)
    oldest, *_, last = (each.id for each in deliveries())
    listed = avra.rows("deliveries", "list", "--status", "retrying", "--since", "1h", "--limit", "2")
    assert [row[0] for row in listed] == sorted((each.id for each in deliveries()), reverse=True)[:2]
    assert avra.rows("deliveries", "list", "--until", "1h") == []
    assert avra.rows("deliveries", "cancel", oldest)[0][4] == "canceled"
    assert avra.rows("deliveries", "replay", oldest, last)[0][4] == "retrying"
    shown = avra.json("deliveries", "show", oldest)
    assert [each["outcome"] for each in shown["attempt_details"]] == ["connect"]
    text = avra.done("deliveries", "show", oldest)
    assert "payload" in text
    assert "connect" in text.splitlines()[-1]


def test_a_recovery_is_counted_started_and_watched(
    avra: Avra, workspace: Workspace, engine: DeliveryEngine, database: WriteDatabase, app: Flask
) -> None:
    workspace.endpoint(f"http://127.0.0.1:{free_port()}/")
    workspace.send(3)
    engine.run(seconds=60)
    make_due(database)
    refused = avra.run("recover", "--since", "1h", "--action", "cancel", typed="n\n")
    assert "Cancel 3 deliveries?" in refused.output
    assert states() == [DeliveryState.PENDING] * 3
    run_all = partial(recovery_runs.run_all, services(app).databases, services(app).wake_ups)
    results: list[Result] = []
    command = ("recover", "--since", "1h", "--action", "cancel", "--yes", "--json")
    watching = threading.Thread(target=lambda: results.append(avra.run(*command)))
    watching.start()

    def is_over() -> bool:
        run_all()
        return bool(results)

    wait_for(is_over)
    watching.join(30)
    [result] = results
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["handled"] == 3
    assert states() == [DeliveryState.CANCELED] * 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_accepted_is_watched(avra: Avra, workspace: Workspace) -> None:
    workspace.endpoint(URL)
    command = [sys.executable, "-m", "webhooks_app", "events", "tail", "--json"]
    environ = {"PATH": "/usr/bin:/bin", **avra.environ}
    seen: list[str] = []
    patience_ends_at = time.monotonic() + 300
    with subprocess.Popen(command, cwd=config.ROOT, env=environ, stdout=subprocess.PIPE, text=True) as tail:
        reader = threading.Thread(target=lambda: seen.extend(output_of(tail)))
        reader.start()
        try:
            while not seen and time.monotonic() < patience_ends_at:
                workspace.send()
                time.sleep(0.5)
            workspace.send()
            last = newest().id
            wait_for(lambda: any(last in line for line in seen))
        finally:
            tail.kill()
            reader.join(30)
    printed = [json.loads(line)["delivery_id"] for line in seen]
    assert printed == sorted(set(printed))
