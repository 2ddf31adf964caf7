"""Runs the tests of one mutant in a process of its own, forked from one that has loaded the libraries."""

import importlib.abc
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

# A mutant may loop for ever; the slowest chosen tests take far less.
TIMEOUT_SECONDS = 120


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Has one module imported from another text than that of its file."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(self, name: str, _path: object, _target: object = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(name, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        code: CodeType = compile(self._source, str(self._path), "exec")
        exec(code, module.__dict__)


def is_noticed(name: str, path: Path, source: str, tests: Sequence[str]) -> bool:
    """Tell whether a test fails, or never ends, with this text as the module `name`."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os._exit(_run(name, path, source, tests))
    return _wait(child) != 0


def _run(name: str, path: Path, source: str, tests: Sequence[str]) -> int:
    import pytest

    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    sys.meta_path.insert(0, _Mutated(name, path, source))
    options = ["-x", "-q", "-n0", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:cov"]
    return int(pytest.main([*options, *tests]))


def _wait(child: int) -> int:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGKILL
