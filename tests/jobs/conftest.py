"""What the tests of RQ's workers share."""

import signal
from collections.abc import Iterator

import pytest

from webhooks_app.jobs.process import StopFlag


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts back what a worker replaces that runs in this process: signal handlers, the stop flag."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(StopFlag, "requested", StopFlag.requested)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
