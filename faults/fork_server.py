"""The process that forks all others of a run, and kills them when its parent, the suite, has ended.

    python -m faults.fork_server MODULE…

Importing the platform takes seconds, a fork milliseconds: this process imports the modules once and forks
each process, so that a run can kill several a second. Commands come on its standard input as JSON lines (see
`_start`). To its standard output go `{"ready": true}`, then `{"started": pid}` for each command and
`{"ended": pid, "status": …}` for each process that ended.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, NoReturn

from webhooks_app.monitoring import tracing

LONGEST_LIFE_SECONDS = 3 * 3600


def main() -> None:
    tracing.block_import_unless_enabled()
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()  # a collection would write to, and so copy, what all processes share
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    os.set_blocking(wake_reader, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the suite, whose end closes the input
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # not without its children
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

    Every command has `env`, the whole environment, and `log`, the file or FIFO for what the process prints;
    `errors`, if given, is the file for its errors, or null for this process's own. With `call`
    ("module:function"), `args` and `patch` ({"module.attribute": value}) it calls a function; with `exec` (a
    list) and `user` (a name or null) it executes a program; with `module` and `args` it does as `python -m`.
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
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        _redirect(command["log"], command.get("errors", command["log"]))
        os.environ.clear()
        os.environ.update(command["env"])
        _run(command)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _redirect(output: str, errors: str | None) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    targets = {0: os.open(os.devnull, os.O_RDONLY), 1: os.open(output, flags, 0o644)}
    if errors is not None:
        targets[2] = targets[1] if errors == output else os.open(errors, flags, 0o644)
    for target, source in targets.items():
        os.dup2(source, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _run(command: dict[str, Any]) -> None:
    if "exec" in command:
        if command["user"]:
            _take_identity(command["user"])
        os.execve(command["exec"][0], command["exec"], dict(os.environ))
    from webhooks_app.core import failpoints

    importlib.reload(failpoints)  # it reads the environment when it is loaded
    if "module" in command:
        _run_module(command["module"], command["args"])
        return
    for name, value in command["patch"].items():
        module, _, attribute = name.rpartition(".")
        setattr(importlib.import_module(module), attribute, value)
    module, _, function = command["call"].partition(":")
    getattr(importlib.import_module(module), function)(*command["args"])


def _run_module(name: str, arguments: list[str]) -> None:
    """Run it as a program that ends as any does: its threads awaited, and what was left for its end done."""
    if sys.platform != "linux":  # a child that goes on without executing a program is safe on no other
        os.execve(sys.executable, [sys.executable, "-m", name, *arguments], dict(os.environ))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python itself has it
    sys.orig_argv, sys.argv = [sys.executable, "-m", name, *arguments], [name, *arguments]
    if os.environ.get("PYTHONUNBUFFERED") and isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(write_through=True)
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()


def _take_identity(user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main()
