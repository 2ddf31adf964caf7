"""Whether the code that was loaded is that on disk."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from webhooks_app.jobs.loaded_code import LoadedCode


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "part_of_a_release.py"
    path.write_text("VERSION = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module(path.stem)
    yield path
    del sys.modules[path.stem]


def test_it_is_current_until_a_file_is_written_anew(module: Path) -> None:
    code = LoadedCode()
    assert code.is_current()
    os.utime(module, ns=(0, module.stat().st_mtime_ns + 1))
    assert not code.is_current()
    assert LoadedCode().is_current()


def test_it_is_not_once_a_file_is_gone(module: Path) -> None:
    code = LoadedCode()
    module.unlink()
    assert not code.is_current()
