"""The command `avra-relay`: what it prints, refuses, serves, and how it ends."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from avra_client import relay_command, relay_health
from avra_client.client import Client
from avra_client.relay_state import RelayState
from tests.avra_client import relay_process
from tests.avra_client.conftest import Store, accepted_keys
from tests.conftest import Workspace
from tests.free_ports import free_port
from tests.waiting import wait_for

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    store: Store,
    platform_url: str,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    signal_handlers: None,
) -> Run:
    """Run the command in this process; its status, and what it printed and complained of."""
    for name, value in relay_process.environment(store, platform_url, workspace.token).items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> tuple[int, str, str]:
        status = relay_command.main(arguments)
        return status, *capsys.readouterr()

    return call


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
def test_it_prints_the_sql_of_the_table(run: Run, dialect: str) -> None:
    status, printed, _ = run("--table", "shop.outbox", "ddl", dialect)
    assert status == 0
    assert re.findall(r"^CREATE .*shop\.outbox.*$|;$", printed, re.MULTILINE)[-1].endswith("(state, id);")


def test_it_shows_and_changes_what_was_set_aside(run: Run, store: Store, client: Client) -> None:
    bad, worse = store.fill(2, status=7)
    good = store.fill(1)
    store.relay(client).run_once()
    assert accepted_keys() == good
    assert run("counts")[1] == "rejected\t2\n"
    lines = [line.split("\t") for line in run("set-aside")[1].splitlines()]
    assert [line[:3] for line in lines] == [
        [bad, "rejected", "batch-lifecycle"],
        [worse, "rejected", "batch-lifecycle"],
    ]
    assert "data.status" in lines[0][3]
    assert run("discard", worse)[1] == "1 row\n"
    assert run("retry", "--all")[1] == "1 row\n"
    assert store.states() == {bad: "pending"}
    for arguments in (("retry",), ("discard", bad, "--all")):
        status, _, complaint = run(*arguments)
        assert (status, "--all" in complaint) == (78, True)


def test_what_was_sent_is_sent_again(run: Run, store: Store, client: Client) -> None:
    store.fill(2)
    store.relay(client, keep_sent_hours=1).run_once()
    assert run("resend", "--since", "2001-01-01T00:00Z")[1] == "2 rows\n"
    assert set(store.states().values()) == {"pending"}


def test_counts_tell_an_empty_outbox_and_what_a_killed_relay_had_claimed(run: Run, store: Store) -> None:
    assert run("counts")[1] == "empty\n"
    first, *_ = store.fill(3)
    assert run("counts")[1] == "pending\t3\n"
    until = int(time.time() * 1000) + 100_000
    store.run(f"UPDATE avra_outbox SET claimed_by = 'x', due_at = {until} WHERE id = '{first}'")
    printed = run("counts")[1]
    assert re.fullmatch(r"pending\t3\t1 claimed, for (9\d|100) s at most\n", printed), printed
    store.run(f"UPDATE avra_outbox SET due_at = {until - 200_000}")
    assert run("counts")[1] == "pending\t3\n"


def test_once_tries_the_token_though_nothing_is_due(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("run", "--once") == (0, "0 events accepted\n", "")
    monkeypatch.setenv("AVRA_TOKEN", "tok_wrong")
    status, printed, complaint = run("run", "--once")
    assert (status, printed) == (75, "")
    assert complaint == "error: This API token is not valid. (401 unauthorized)\n"


@pytest.mark.parametrize("url", ["sqlite:///none.db", "sqlite:///shop/a%20b.db"])
def test_a_missing_sqlite_file_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVRA_OUTBOX_DATABASE", url)
    path = tmp_path / url.removeprefix("sqlite:///").replace("%20", " ")
    for command, status in ((("counts",), 78), (("run", "--once"), 75)):
        given, _, complaint = run(*command)
        assert given == status
        assert complaint.endswith(f": unable to open database file: {path}\n")


def test_a_database_without_the_table_is_one_line(run: Run, store: Store) -> None:
    store.run("DROP TABLE avra_outbox")
    status, _, complaint = run("counts")
    assert status == 78
    assert re.fullmatch(r"error: the outbox: .*avra_outbox.*\n", complaint)


@pytest.mark.parametrize(
    ("name", "value", "arguments", "complaint"),
    [
        ("AVRA_URL", "", (), "AVRA_URL is not set"),
        ("AVRA_URL", "webhooks.example.com", (), "base_url"),
        ("AVRA_TOKEN", "", (), "AVRA_TOKEN is not set"),
        ("AVRA_TOKEN_FILE", "/nowhere/token", (), "AVRA_TOKEN_FILE cannot be read"),
        ("AVRA_OUTBOX_DATABASE", "oracle://x", (), "sqlite:///, postgresql:// or mysql://"),
        ("AVRA_OUTBOX_DATABASE", "sqlite://app.db", (), "sqlite:///app.db in the current folder"),
        ("AVRA_OUTBOX_DATABASE", "postgresql+psycopg2://h/x", (), "pip install psycopg2"),
        ("AVRA_URL", "http://127.0.0.1:9", ("--listen", "here"), "--listen"),
        ("AVRA_URL", "http://127.0.0.1:9", ("--lease-seconds", "1"), "lease"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    monkeypatch.setenv(name, value)
    status, _, said = run("run", *arguments)
    assert status == 78
    assert re.fullmatch(r"error: .*\n", said)
    assert complaint in said


def test_once_ends_when_nothing_is_due(
    store: Store, platform_url: str, workspace: Workspace, tmp_path: Path
) -> None:
    ids = store.fill(45)
    (tmp_path / "token").write_text(workspace.token + "\n")
    environ = relay_process.environment(store, platform_url, "") | {
        "AVRA_TOKEN_FILE": str(tmp_path / "token")
    }
    relay = relay_process.start(environ, "--once")
    said = relay.communicate(timeout=300)[1]
    assert relay.returncode == 0, said
    assert sorted(accepted_keys()) == ids
    assert workspace.token not in said

    store.fill(1)
    relay = relay_process.start(environ | {"AVRA_URL": "http://127.0.0.1:9"}, "--once")
    said = relay.communicate(timeout=300)[1]
    assert relay.returncode == 75
    assert "error: The platform at http://127.0.0.1:9 does not answer: connection refused." in said


def test_it_says_how_it_does_and_ends_when_it_is_asked_to(
    store: Store, platform_url: str, workspace: Workspace, tmp_path: Path
) -> None:
    port, ids = free_port(), store.fill(3)
    (tmp_path / "avra").write_text(workspace.token)
    relay = relay_process.start_as_documented(store, platform_url, tmp_path / "avra", port)
    try:
        wait_for(lambda: store.states() == {})
        health = requests.get(f"http://127.0.0.1:{port}/healthz", timeout=120)
        assert (health.status_code, health.json()) == (200, {"status": "ok", "problems": []})
        wait_for(
            lambda: (
                "avra_relay_sent_total 3\n"
                in requests.get(f"http://127.0.0.1:{port}/metrics", timeout=120).text
            )
        )
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=120).status_code == 404
    finally:
        relay.send_signal(signal.SIGTERM)
        said = relay.communicate(timeout=300)[1]
    assert relay.returncode == 0
    assert accepted_keys() == ids
    assert f"INFO listening on 127.0.0.1:{port}, for" in said
    assert "handed over: accepted=3 repeated=0 rejected=0 not_taken=0" in said
    assert said.splitlines()[-1].endswith("INFO relay stopped")
    assert workspace.token not in said


def test_trouble_becomes_a_problem_after_a_minute() -> None:
    state = RelayState(last_failure="Unavailable: away", failing_since=1000.0, last_round_at=1000.0)
    assert relay_health.problems(state, 1050.0) == []
    assert relay_health.problems(state, 1070.0) == ["failing for 70 s: Unavailable: away"]
    assert relay_health.problems(RelayState(last_round_at=1000.0), 1500.0) == ["silent for 500 s"]


def test_the_metrics_tell_the_backlog() -> None:
    text = relay_health.metrics(RelayState(last_failure="away"), (7, 12.5, 2))
    assert "avra_relay_pending_rows 7\n" in text
    assert "avra_relay_oldest_pending_seconds 12.5\n" in text
    assert "avra_relay_failing_rows 2\n" in text
    assert "avra_relay_in_trouble 1\n" in text
