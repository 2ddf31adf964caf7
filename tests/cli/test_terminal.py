"""What people see on a terminal, on a real one; and that nobody else pays for it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_api_commands import Avra, avra
from tests.conftest import Workspace
from webhooks_app import config
from webhooks_app.cli import api_output, terminal
from webhooks_app.cli.terminal import fit

__all__ = ["avra"]  # the fixture

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
NAME = "Invoices and dunning letters, 請求書"


@pytest.mark.parametrize(
    ("natural", "is_whole", "columns", "fitted"),
    [
        ([5, 5], [False, False], 12, [5, 5]),
        ([30, 40, 20], [True, False, False], 64, [30, 15, 15]),
        ([30, 40, 9], [True, False, False], 51, [30, 8, 9]),
        ([30, 40], [True, False], 20, [30, 8]),  # too wide still
    ],
)
def test_the_widest_columns_give_way(
    natural: list[int], is_whole: list[bool], columns: int, fitted: list[int]
) -> None:
    assert fit(natural, is_whole, columns) == fitted


def test_a_colour_is_left_out_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.colored("503", "red") == "\x1b[31m503\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.colored("503", "red") == "503"


def on_terminal(avra: Avra, columns: int, *arguments: str, **environ: str) -> str:
    """Return what a command prints on a terminal of so many columns."""
    own, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {"PATH": "/usr/bin:/bin", "TERM": "xterm-256color", **avra.environ, **environ}
    command = [sys.executable, "-m", "webhooks_app", *arguments]
    with subprocess.Popen(command, cwd=config.ROOT, env=env, stdin=its, stdout=its, stderr=its):
        os.close(its)
        printed = b""
        while some := _read(own):
            printed += some
    os.close(own)
    return printed.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # as Linux says that nobody has the other side open any more
        return b""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_table_fits_the_terminal(avra: Avra, workspace: Workspace) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/" + 60 * "x", name=NAME)
    wide = _CONTROL.sub("", on_terminal(avra, 200, "endpoints", "list")).split("\r\n")
    assert NAME in wide[1]
    shown = on_terminal(avra, 80, "endpoints", "list", NO_COLOR="1")
    head, row, *rest = _CONTROL.sub("", shown).split("\r\n")
    assert (head.split(), rest) == (["ID", "NAME", "STATE", "EVENTS", "URL"], [""])
    assert row.startswith(endpoint_id)
    assert row.count("…") == 2
    assert "\x1b[32m" not in shown
    narrow = _CONTROL.sub("", on_terminal(avra, 50, "endpoints", "list"))
    assert re.search(rf"^id +{endpoint_id} *\r\nname +Invoices", narrow)
    tabs = avra.done("endpoints", "list").splitlines()
    assert NAME in tabs[1]  # a pipe gets it whole
    assert "\\u8acb\\u6c42" in on_terminal(avra, 80, "endpoints", "list", "--json")
    assert NAME in avra.done("endpoints", "list", "--json")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_delivery_is_shown_with_what_people_look_for_first(avra: Avra, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/[bold]", name="[red]Orders")
    workspace.send(batch_id="[/]:smile:")
    [row] = avra.rows("deliveries", "list")
    shown = _CONTROL.sub("", on_terminal(avra, 100, "deliveries", "show", row[0])).split("\r\n")
    assert [line.split()[0] for line in shown[:4]] == ["id", "event", "endpoint", "status"]
    assert "[red]Orders" in shown[2]  # what is no markup of ours
    assert any('"batch_id": "[/]:smile:"' in line for line in shown)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_table_has_what_was_done_before_a_failure(avra: Avra, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    [row] = avra.rows("deliveries", "list")
    shown = _CONTROL.sub("", on_terminal(avra, 100, "deliveries", "cancel", row[0], "dlv_none"))
    assert re.search(rf"{row[0]} .* canceled", shown)
    assert "There is no such delivery" in shown


def test_a_table_has_what_was_done_before_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    def rows() -> Iterator[dict[str, str]]:
        yield {"id": "dlv_1"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api_output._print_for_people(rows(), [api_output.plain("id")], "")
    assert "dlv_1" in capsys.readouterr().out


def test_programs_and_servers_do_without_it() -> None:
    modules = ", ".join(f"webhooks_app.cli.{name.stem}" for name in _commands())
    code = f"import sys, {modules}; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=config.ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def _commands() -> list[Path]:
    return sorted((config.ROOT / "webhooks_app" / "cli").glob("[a-z]*.py"))
