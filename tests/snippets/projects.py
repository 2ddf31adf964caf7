"""Folders in which code is built: what a registry gives, and what was built once, stays there.

They are in the user's cache directory. What comes from a package registry has its exact version in the tests.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import unavailable

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avra-webhooks" / "snippets"
FETCHED, BUILT = "fetched.stamp", "built.stamp"
FETCH_SECONDS = BUILD_SECONDS = 300

Command = tuple[str, ...]


def require(commands: Mapping[str, str]) -> None:
    """Skip or fail where a command is missing; the values are the Debian packages that bring them."""
    for command, package in commands.items():
        if shutil.which(command) is None or not _has_toolchain(command):
            unavailable(command, f"apt install {package}")


def require_library(probe: Command, package: str) -> None:
    """Skip or fail where the probe, which loads a library of a Debian package, fails."""
    if probe and subprocess.run(probe, capture_output=True).returncode != 0:
        unavailable(f"What {package} brings", f"apt install {package}")


def _has_toolchain(command: str) -> bool:
    """Tell a command from a stand-in that rustup leaves where no toolchain is installed."""
    return command != "cargo" or subprocess.run([command, "--version"], capture_output=True).returncode == 0


@contextmanager
def cache(name: str) -> Iterator[None]:
    """For one process at a time, of whatever test runs; another folder is built meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sources(folder: Path) -> dict[str, str]:
    """Return the text of each file below the folder, by its path in it."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def lay(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files that are not there with this text: compilers start afresh for what is newer.

    What was built of another checkout's files is forgotten with them.
    """
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            (folder / BUILT).unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def fetch(folder: Path, command: Command, wanted: Iterable[str]) -> None:
    """Run the command, unless it ran here before for the same `wanted`. Skips or fails without a registry."""
    if not command or _is_done(folder / FETCHED, command, wanted):
        return
    done = call(command, folder, FETCH_SECONDS)
    if done.returncode != 0:  # once more, as a name server may have been silent for a moment
        done = call(command, folder, FETCH_SECONDS)
    if done.returncode != 0:
        unavailable(f"What {' '.join(command)} fetches", f"connect this machine: {done.stderr[-500:]}")
    (folder / FETCHED).write_text(_digest(command, wanted))


def build(folder: Path, command: Command, files: Mapping[str, str]) -> None:
    """Run the command, unless it built the same files here before. An AssertionError where it fails."""
    texts = [part for name in sorted(files) for part in (name, files[name])]
    if not command or _is_done(folder / BUILT, command, texts):
        return
    done = call(command, folder, BUILD_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / BUILT).write_text(_digest(command, texts))


def call(command: Command, folder: Path, seconds: float, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, input=given, capture_output=True, text=True, timeout=seconds, check=False
    )


def version_in(text: str) -> tuple[int, ...]:
    """The first version in what a tool says of itself, such as (1, 26, 8)."""
    found = re.search(r"\d+(\.\d+)+|\d+", text)
    assert found, text
    return tuple(int(part) for part in found[0].split("."))


def _is_done(stamp: Path, command: Command, of: Iterable[str]) -> bool:
    return stamp.exists() and stamp.read_text() == _digest(command, of)


def _digest(command: Command, of: Iterable[str]) -> str:
    return hashlib.sha256("\0".join((*command, "", *of)).encode()).hexdigest()
