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


def test_another_file_of_the_same_time_is_not_what_was_loaded(module: Path) -> None:
    code, before = LoadedCode(), module.stat()
    successor = module.with_suffix(".new")
    successor.write_text("VERSION = 2\n")
    os.utime(successor, ns=(before.st_atime_ns, before.st_mtime_ns))
    successor.replace(module)
    assert module.stat().st_mtime_ns == before.st_mtime_ns
    assert not code.is_current()


def test_it_is_not_once_a_file_is_gone(module: Path) -> None:
    code = LoadedCode()
    module.unlink()
    assert not code.is_current()
