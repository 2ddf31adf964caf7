"""The process that forks all others of a run, and kills them when its parent, the suite, has ended.

Importing the platform takes seconds, a fork milliseconds: this process imports once and forks each process,
so that a run can kill several a second. Commands come on its standard input as JSON lines (see `_start`). To
its standard output go `{"ready": true}`, then `{"started": pid}` for each command and
`{"ended": pid, "status": …}` for each process that ended.
"""

import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from contextlib import suppress
from typing import Any, NoReturn

# Imported before the first fork, so that no process imports them again.
PRELOADED = ("faults.entry_points", "faults.scripted_receiver", "faults.load_generator")
LONGEST_LIFE_SECONDS = 3 * 3600


def main() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    os.set_blocking(wake_reader, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the suite, whose end closes the input
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    children: set[int] = set()
    try:
        _serve(wake_reader, children)
    finally:
        for pid in children:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _serve(wake_reader: int, children: set[int]) -> None:
    until = time.monotonic() + LONGEST_LIFE_SECONDS
    pending = b""
    _write_message(ready=True)
    while time.monotonic() < until:
        readable, _, _ = select.select([0, wake_reader], [], [], 5)
        if wake_reader in readable:
            os.read(wake_reader, 4096)
            _reap(children)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                pid = _start(json.loads(line))
                children.add(pid)
                _write_message(started=pid)


def _reap(children: set[int]) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            children.discard(pid)
            _write_message(ended=pid, status=os.waitstatus_to_exitcode(status))


def _write_message(**fields: Any) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


def _start(command: dict[str, Any]) -> int:
    """Fork a process for the command and return its id.

    Every command has `env`, the whole environment, and `log`, the file for what the process prints. With
    `call` ("module:function"), `args` and `patch` ({"module.attribute": value}) it calls a function; with
    `exec` (a list) and `user` (a name or null) it executes a program.
    """
    pid = os.fork()
    if pid == 0:
        _run_in_child(command)
    return pid


def _run_in_child(command: dict[str, Any]) -> NoReturn:
    """Run the command in the forked child: in a process group of its own, with its output in a file."""
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


if __name__ == "__main__":
    main()
