"""Runs the tests of one mutant in a process that imports everything anew, where no loaded module would do."""

import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

from mutants import forked

# A mutant may loop for ever; the slowest chosen tests take far less.
TIMEOUT_SECONDS = 120
OPTIONS = ("-q", "-n0", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:cov")


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
    """Return whether a test fails, or never ends, with this text as the module `name`."""
    status = forked.call(lambda: _run(name, path, source, tests), TIMEOUT_SECONDS)
    return bool(status != 0)


def _run(name: str, path: Path, source: str, tests: Sequence[str]) -> int:
    import pytest

    silence()
    sys.meta_path.insert(0, _Mutated(name, path, source))
    return int(pytest.main(["-x", *OPTIONS, *tests]))


def silence() -> None:
    """Write what this process prints nowhere, or into the file that MUTANTS_LOG names."""
    log = os.open(os.environ.get("MUTANTS_LOG", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
