"""What no test may leave changed is compared after each."""

import os
import signal
import sys
from collections.abc import Callable

import pytest

from tests import shared_state
from webhooks_app import tasks


def handle_hang_ups(patch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGHUP, lambda *_: None)


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "what SIGHUP does": handle_hang_ups,
    "the variable LEFT": lambda patch: patch.setenv("LEFT", "1"),
    "what jobs work with": lambda patch: patch.setattr(tasks, "_context", object()),
    "the folder": lambda patch: patch.chdir("/"),
    "the path of modules": lambda patch: patch.setattr(sys, "path", [*sys.path, "/nowhere"]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_left_changed_is_named(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, hang_up = shared_state.read(), signal.getsignal(signal.SIGHUP)
    monkeypatch.chdir(os.path.dirname(__file__))
    before |= {"the folder": os.getcwd()}
    try:
        CHANGES[what](monkeypatch)
        assert shared_state.changed(before, shared_state.read()) == {what}
    finally:
        signal.signal(signal.SIGHUP, hang_up)
