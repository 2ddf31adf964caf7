"""Runs something in a process forked from this one, and brings back what it returned."""

import faulthandler
import json
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any


def call(function: Callable[[], Any], timeout_seconds: float) -> Any:
    """Return what the function returned in a process of its own, as JSON carries it.

    None where that process died, or was ended after the timeout. What it started is ended with it.
    """
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            os.setsid()
            _write(answer, function)
        _wait(child, timeout_seconds)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        answer.seek(0)
        return json.loads(answer.read() or "null")


def end_after(seconds: float, *, processor_seconds: float) -> None:
    """Have this process end, without an answer, if it takes longer than either from now on.

    Another call takes the place of the one before. Neither needs the interpreter, which may wait for ever.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
    signal.setitimer(signal.ITIMER_PROF, processor_seconds)


def _write(answer: IO[bytes], function: Callable[[], Any]) -> None:
    try:
        text = json.dumps(function())
        answer.write(text.encode())
        answer.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)  # neither what the parent has begun nor what it would do at its end is the child's


def _wait(child: int, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.01)
    with suppress(ProcessLookupError):  # before it leads a group
        os.killpg(child, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
