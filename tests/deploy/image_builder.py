"""Carries out a Dockerfile without a container engine, on Linux, as root.

Each stage is an overlay of this machine's root, which stands for the base image, in a chroot; its steps are
those of the Dockerfile.
"""

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

MINUTES = 10


@dataclass
class Stage:
    """A stage of a build, and what its steps have settled."""

    root: Path
    environment: dict[str, str]
    folder: str = "/"
    user: str = "0:0"
    command: list[str] = field(default_factory=list)
    entry: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def arguments(self, *command: str) -> list[str]:
        """Return how a command is run inside, as the user and in the folder of the image."""
        script = f"cd {shlex.quote(self.folder)} && exec {shlex.join(command)}"
        return ["chroot", f"--userspec={self.user}", str(self.root), "/bin/sh", "-c", script]

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.arguments(*command),
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=60 * MINUTES,
        )


class Builder:
    """Builds the stages of one Dockerfile below `folder`; `mounts` undoes what was mounted."""

    def __init__(self, context: Path, folder: Path, mounts: ExitStack) -> None:
        self._context, self._folder, self._mounts = context, folder, mounts
        self._stages: dict[str, Stage] = {}

    def build(self, dockerfile: str) -> Stage:
        """Carry out all steps and return the last stage. Raises AssertionError where one fails."""
        for name, rest in steps(dockerfile):
            getattr(self, f"_do_{name.lower()}")(rest)
        return self._stage

    @property
    def _stage(self) -> Stage:
        return list(self._stages.values())[-1]

    def _do_from(self, rest: str) -> None:
        name = rest.split(" AS ")[-1] if " AS " in rest else str(len(self._stages))
        root = self._mounts.enter_context(overlay(self._folder / name))
        reach(root, Path(os.path.realpath(sys.base_prefix)))
        path = f"{sys.base_prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        kept = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_", "HOME"))}
        self._stages[name] = Stage(root, kept | {"PATH": path})

    def _do_run(self, rest: str) -> None:
        done = self._stage.run("/bin/sh", "-c", rest)
        assert done.returncode == 0, f"RUN {rest}\n{done.stdout}{done.stderr}"

    def _do_copy(self, rest: str) -> None:
        *sources, target = rest.split()
        origin = self._context
        if sources[0].startswith("--from="):
            origin = self._stages[sources.pop(0).removeprefix("--from=")].root
        for source in sources:
            copy(origin / source.lstrip("/"), self._inside(target))

    def _do_workdir(self, rest: str) -> None:
        self._stage.folder = rest
        self._inside(rest).mkdir(parents=True, exist_ok=True)

    def _do_env(self, rest: str) -> None:
        known = self._stage.environment
        for name, value in (part.split("=", 1) for part in shlex.split(rest)):
            known[name] = re.sub(r"\$(\w+)", lambda match: known.get(match[1], ""), value)

    def _do_user(self, rest: str) -> None:
        self._stage.user = rest

    def _do_entrypoint(self, rest: str) -> None:
        self._stage.entry = json.loads(rest)

    def _do_cmd(self, rest: str) -> None:
        self._stage.command = json.loads(rest)

    def _do_healthcheck(self, rest: str) -> None:
        self._stage.health = json.loads(rest.split(" CMD ", 1)[1])

    def _ignore(self, _rest: str) -> None:
        """Leave out what changes no file and no process."""

    _do_arg = _do_label = _do_expose = _do_stopsignal = _ignore

    def _inside(self, path: str) -> Path:
        return self._stage.root / os.path.join(self._stage.folder, path).lstrip("/")


def steps(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction with its text, comments and continued lines resolved."""
    lines = (line for line in dockerfile.splitlines() if line.strip() and not line.startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        name, _, rest = line.partition(" ")
        yield name, rest.strip()


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignored = ignore_patterns("__pycache__")
        copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=ignored)
    else:
        copy2(source, target / source.name if target.is_dir() else target)


def reach(root: Path, python: Path) -> None:
    """Let every user of the image enter the folders above its Python."""
    for folder in python.parents:
        inside = root / str(folder).lstrip("/")
        inside.chmod(inside.stat().st_mode | 0o111)


@contextmanager
def overlay(folder: Path) -> Iterator[Path]:
    """Yield this machine's root as a folder of one's own, with its processes.

    No folder of it is this machine's own: whoever deletes what a killed run left deletes nothing else.
    """
    upper, work, root = (folder / name for name in ("upper", "work", "root"))
    for path in (upper, work, root):
        path.mkdir(parents=True)
    options = f"lowerdir=/,upperdir={upper},workdir={work}"
    with ExitStack() as mounts:
        mount(mounts, root, "-t", "overlay", "-o", options, "overlay")
        mount(mounts, root / "proc", "-t", "proc", "proc")
        mount(mounts, root / "dev", "-t", "tmpfs", "-o", "mode=755", "tmpfs")
        make_devices(root / "dev")
        yield root


def make_devices(folder: Path) -> None:
    """Make the devices that a container has, of the same numbers (Linux, admin-guide/devices.txt)."""
    for name, minor in {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}.items():
        os.mknod(folder / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        (folder / name).chmod(0o666)  # whatever the umask is
    (folder / "fd").symlink_to("/proc/self/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (folder / name).symlink_to(f"/proc/self/fd/{number}")
    shared_memory = folder / "shm"
    shared_memory.mkdir()
    shared_memory.chmod(0o1777)


def mount(mounts: ExitStack, target: Path, *options: str) -> None:
    subprocess.run(["mount", *options, str(target)], check=True)
    mounts.callback(subprocess.run, ["umount", "--lazy", str(target)], check=True)
