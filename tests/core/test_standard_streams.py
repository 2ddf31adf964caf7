"""Whatever is printed can be printed, under any locale and with any stream closed."""

import os
import subprocess
import sys

import pytest

from webhooks_app import config

PRINT = """
import os, sys
from webhooks_app.core import standard_streams
standard_streams.prepare()
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
        timeout=60,
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
