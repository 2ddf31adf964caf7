"""Whatever is printed can be printed, under any locale and with any stream closed."""

import os
import subprocess
import sys

import pytest

from webhooks_app import config

PRINT = """
import os, sys
from webhooks_app.cli import standard_streams
standard_streams.make_robust()
print("Starting \\u2026 \\xfc \\udcff \\u201cx\\u201d")
print("stopping \\u2026", file=sys.stderr)
print(os.open(os.devnull, os.O_RDONLY))
"""
LOCALES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "strict": {"PYTHONIOENCODING": "latin-1:strict"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
}


def run(locale: str, more: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {more}', sys.executable, PRINT],
        env=os.environ | LOCALES[locale],
        cwd=config.ROOT,
        capture_output=True,
        timeout=300,
        check=True,
    )


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("ascii", b'Starting ... \\xfc \\udcff "x"'),
        ("strict", b'Starting ... \xfc \\udcff "x"'),
        ("C", b'Starting ... \\xfc \\udcff "x"'),
        ("utf-8", "Starting … ü \\udcff “x”".encode()),
    ],
)
def test_a_character_that_the_terminal_lacks_is_printed_as_another(locale: str, expected: bytes) -> None:
    done = run(locale)
    assert done.stdout.splitlines()[0] == expected
    assert done.stderr.startswith(b"stopping ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_other_file_later(closed: str) -> None:
    done = run("utf-8", closed)
    if ">&-" not in closed.split():
        assert int(done.stdout.splitlines()[1]) > 2


LOG = """
import sys
from webhooks_app.cli import standard_streams
standard_streams.make_robust()
{outlast}
for number in range(3000):
    print("a line of a log", flush=number % 2 == 0)
    print("another", file=sys.stderr)
sys.exit(7)
"""


def log_to(streams: str, *, outlasts: bool) -> int:
    script = LOG.format(outlast="standard_streams.outlast_full_disk()" if outlasts else "")
    command = ["sh", "-c", f'exec "$0" -c "$1" {streams}', sys.executable, script]
    return subprocess.run(
        command, cwd=config.ROOT, timeout=300, check=False, stderr=subprocess.PIPE
    ).returncode


@pytest.mark.parametrize("streams", [">/dev/full", "2>/dev/full >/dev/null", ">/dev/full 2>&1"])
def test_a_full_disk_ends_no_process_that_outlasts_it(streams: str) -> None:
    assert log_to(streams, outlasts=True) == 7


def test_a_command_whose_output_finds_no_room_fails() -> None:
    assert log_to(">/dev/full", outlasts=False) not in (0, 7)


def test_a_reader_that_is_gone_is_still_noticed() -> None:
    script = LOG.format(outlast="standard_streams.outlast_full_disk()")
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=config.ROOT
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) not in (0, 7)


DIE = """
import os, sys
from webhooks_app.cli import standard_streams
standard_streams.outlast_full_disk()
print("error: a line", file=sys.stderr)
print("a line")
os._exit(3)
"""


def test_what_was_printed_is_there_when_a_process_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-u", "-c", DIE], cwd=config.ROOT, capture_output=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"a line\n", b"error: a line\n")


def test_an_error_is_there_when_a_process_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIE], cwd=config.ROOT, capture_output=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (3, b"error: a line\n")
