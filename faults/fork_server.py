"""The process that starts all others of a run, and ends them when the harness is gone, however it went.

Importing the platform takes seconds, a fork milliseconds: it imports once and forks each process from here,
so that a run can kill several a second. Commands come on its input as JSON lines, one answer each goes to
its output, and a line for each process that ended.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from typing import Any, NoReturn

# What the processes import, brought in before the first fork.
PRELOADED = ("faults.programs", "faults.receiver", "faults.producer")
LONGEST_LIFE_SECONDS = 3 * 3600


def main() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    end, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the harness, whose end ends this
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    children: set[int] = set()
    try:
        _serve(end, children)
    finally:
        for pid in children:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _serve(woken: int, children: set[int]) -> None:
    until = time.monotonic() + LONGEST_LIFE_SECONDS
    pending = b""
    _say(ready=True)
    while time.monotonic() < until:
        readable, _, _ = select.select([0, woken], [], [], 5)
        if woken in readable:
            os.read(woken, 4096)
            _reap(children)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                pid = _start(json.loads(line))
                children.add(pid)
                _say(started=pid)


def _reap(children: set[int]) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            children.discard(pid)
            _say(ended=pid, status=os.waitstatus_to_exitcode(status))


def _say(**fields: Any) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


def _start(command: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        _become(command)
    return pid


def _become(command: dict[str, Any]) -> NoReturn:
    """The child: the leader of its own group, its output in a file, its environment as told."""
    status = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _redirect(command["log"])
        os.environ.clear()
        os.environ.update(command["env"])
        _run(command)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _redirect(path: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for target, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, target)


def _run(command: dict[str, Any]) -> None:
    if "exec" in command:
        if command["user"]:
            _take_identity(command["user"])
        os.execve(command["exec"][0], command["exec"], dict(os.environ))
    from webhooks_app.core import failpoints

    importlib.reload(failpoints)  # it reads the environment when it is loaded
    for name, value in command["patch"].items():
        module, _, attribute = name.rpartition(".")
        setattr(importlib.import_module(module), attribute, value)
    module, _, function = command["call"].partition(":")
    getattr(importlib.import_module(module), function)(*command["args"])


def _take_identity(user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def open_nursery(root: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "faults.fork_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        env=dict(os.environ) | {"PYTHONPATH": root},
    )


if __name__ == "__main__":
    main()
